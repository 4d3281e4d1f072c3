//! The names of MuQ-MuLan's tensors.

use crate::checkpoint::strict::StrictLoader;
use crate::checkpoint::{KeyTable, NamedTensor, muq, save::named_tensors, xlm_roberta};
use crate::model::JointSpaceHead;

/// Tensors that neither tower uses.
const UNUSED: &[(&str, &str)] = &[
    ("mulan.contrast.*", "the contrastive loss of training, of which only the temperature is read"),
    ("mulan.multi_layer_contrastive_learning.*", "heads of an optional loss of training"),
    ("mulan.audio_layers_indices", "belongs to an optional loss of training"),
    ("mulan.text_layers_indices", "belongs to an optional loss of training"),
    ("mulan.audio.aggregator.*", "declared by the reference and never read by its forward pass"),
    ("*.num_batches_tracked", "a counter of batch norm's training"),
    ("mulan.audio.model.model.cls_token", "declared by the reference and never read by its forward pass"),
    (
        "mulan.audio.model.model.conformer.pos_conv_embed.*",
        "declared by the reference and never read: positions are rotary",
    ),
    ("mulan.audio.model.model.recon_proj.*", "head of an optional reconstruction loss of MuQ's pre-training"),
    ("mulan.audio.model.model.rvq.*", "MuQ's tokenizer, a target of its pre-training: the joint space has no tokens"),
    ("mulan.audio.model.model.quantizer_melspec_2048.*", "the same, in a MuQ with random projections"),
    ("*.norm.gamma", "a buffer that the reference reads only where no scale is learned"),
    ("*.1.0.gamma", "the same in a feed-forward module"),
    ("mulan.text.model.pooler.*", "the reference takes the last hidden state, and not what the pooler makes of it"),
    ("mulan.text.model.embeddings.position_ids", "counts from 0; older versions of the library stored it"),
];

pub(in crate::checkpoint) const AUDIO_NETWORK: KeyTable =
    KeyTable { prefix: "mulan.audio.model.model.", unused: UNUSED, ..muq::NETWORK };
pub(in crate::checkpoint) const AUDIO_HEAD: HeadTables = HeadTables {
    projection: "mulan.audio.proj.",
    transformer: "mulan.audio.transformer.",
    to_latents: "mulan.audio_to_latents.",
};
pub(in crate::checkpoint) const TEXT_NETWORK: KeyTable =
    KeyTable { prefix: "mulan.text.model.", ..xlm_roberta::NETWORK };
pub(in crate::checkpoint) const TEXT_HEAD: HeadTables = HeadTables {
    projection: "mulan.text.proj.",
    transformer: "mulan.text.transformer.",
    to_latents: "mulan.text_to_latents.",
};

/// Where the parts of a head lie.
pub(in crate::checkpoint) struct HeadTables {
    projection: &'static str,
    pub(super) transformer: &'static str,
    to_latents: &'static str,
}

/// The names of a transformer's tensors. The feed-forward module is a numbered sequence in the file.
const TRANSFORMER: KeyTable = KeyTable {
    prefix: "",
    segments: &[
        ("attention", "0"),
        ("query", "to_q"),
        ("key_value", "to_kv"),
        ("output", "to_out.0"),
        ("query_scale", "q_scale"),
        ("key_scale", "k_scale"),
        ("feed_forward", "1"),
        ("input_norm", "0"),
        ("expand", "1"),
        ("contract", "4"),
        ("gamma", "learned_gamma"),
    ],
    unused: &[],
};

/// The tensors of a head.
pub(in crate::checkpoint) fn head_tensors(head: &JointSpaceHead, tables: &HeadTables) -> Vec<NamedTensor<'static>> {
    let linear = |prefix| KeyTable { prefix, segments: &[], unused: &[] };
    let projection = head.projection.as_ref();
    let mut tensors =
        projection.map_or_else(Vec::new, |projection| named_tensors(projection, linear(tables.projection)));
    tensors.extend(named_tensors(&head.transformer, KeyTable { prefix: tables.transformer, ..TRANSFORMER }));
    tensors.extend(named_tensors(&head.to_latents, linear(tables.to_latents)));
    tensors
}

/// A head with its tensors.
pub(super) fn fill_head(loader: &mut StrictLoader<'_>, head: JointSpaceHead, tables: &HeadTables) -> JointSpaceHead {
    let linear = |prefix| KeyTable { prefix, segments: &[], unused: &[] };
    JointSpaceHead {
        projection: head.projection.map(|projection| loader.fill(projection, linear(tables.projection))),
        transformer: loader.fill(head.transformer, KeyTable { prefix: tables.transformer, ..TRANSFORMER }),
        to_latents: loader.fill(head.to_latents, linear(tables.to_latents)),
    }
}
