# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.*", "torchaudio", "transformers==4.46.3", "muq==0.1.0", "safetensors==0.8.*", "x_clip==0.14.4"]
# ///
"""Makes the golden case `mulan-released`: a tiny random MuQ-MuLan whose towers are put together as the released one's are
(no transformer above the audio model, no projection above the text model), and what the package `muq` computes from it.

    python tools/reference/make_mulan_released.py fixtures/golden/mulan-tiny/tiny-xlm-roberta-base OUTPUT

needs torch, torchaudio, transformers==4.46.3, muq==0.1.0 and safetensors. The first argument is the folder of a tokenizer.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import torch
from muq import MuQ, MuQMuLan
from muq.muq.muq import MuQConfig
from safetensors.torch import save_file
from transformers import AutoTokenizer, Wav2Vec2ConformerConfig, XLMRobertaConfig, XLMRobertaModel

SEED = 20261121
AUDIO_MODEL, TEXT_MODEL = "example/tiny-muq", "example/tiny-xlm-roberta-base"
MAXIMUM_TOKENS = 40
TEXTS = ["slow ambient", "一首适合海边风景的小提琴曲，节奏欢快", "fast piano"]
LONG_TEXT = "classical genres, hopeful mood, piano, fast metal guitar"
CLIP_SAMPLES = 24000


def randomize(module):
    """Random values in every parameter and statistic that is saved, so that no term is a no-op.

    The bias-less layer norms have a buffer of zeros that is not saved: with anything else in it, the outputs would not be
    those of the checkpoint.
    """
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point() or name.endswith("inv_freq"):
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif "norm" in name.lower() or name.endswith(("gamma", "scale")) or ".bn" in name:
                tensor.add_(0.2 * torch.randn_like(tensor))
            else:
                fan = tensor[0].numel() if tensor.dim() > 1 else 4 * tensor.numel()
                tensor.copy_(torch.randn_like(tensor) / fan**0.5)


def main(tokenizer_folder, output):
    torch.manual_seed(SEED)
    tokenizer_folder, output = tokenizer_folder.resolve(), output.resolve()
    output.mkdir(parents=True)
    # Stand-ins for the two models on the hub: the package loads towers by name before it loads the weights of both.
    work = output / "work"
    work.mkdir()
    os.chdir(work)
    conformer = Wav2Vec2ConformerConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, hidden_act="swish",
        conv_depthwise_kernel_size=5, position_embeddings_type="rotary",
    )
    conformer = json.loads(conformer.to_json_string(use_diff=False))
    stat = {"melspec_2048_mean": 6.768444971712967, "melspec_2048_std": 18.417922652295623}
    muq_config = MuQConfig(
        codebook_size=32, conv_dim=4, encoder_dim=16, encoder_depth=2, stat=stat, w2v2_config=conformer,
    )
    MuQ(muq_config).save_pretrained(AUDIO_MODEL)
    text_config = XLMRobertaConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=20,
        max_position_embeddings=MAXIMUM_TOKENS + 2, type_vocab_size=2, layer_norm_eps=1e-5,
    )
    XLMRobertaModel(text_config).save_pretrained(TEXT_MODEL)
    for file in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]:
        shutil.copy(tokenizer_folder / file, TEXT_MODEL)

    config = {
        "mulan": {"sr": 24000, "clip_secs": CLIP_SAMPLES // 24000, "dim_latent": 12},
        "audio_model": {"name": AUDIO_MODEL, "model_dim": 16, "use_layer_idx": -2},
        "text_model": {"name": TEXT_MODEL, "model_dim": None, "use_layer_idx": -1},
        "audio_transformer": {"dim": 20, "tf_depth": 0, "heads": 2, "dim_head": 6, "ff_mult": 4},
        "text_transformer": {"dim": 24, "tf_depth": 2, "max_seq_len": 8, "heads": 3, "dim_head": 10, "ff_mult": 2},
    }
    model = MuQMuLan(config)
    randomize(model)
    model.eval()
    torch.save(model.state_dict(), output / "pytorch_model.bin")
    (output / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for name, file in [(AUDIO_MODEL, "config.json"), (TEXT_MODEL, "config.json"), (TEXT_MODEL, "tokenizer.json")]:
        folder = output / Path(name).name
        folder.mkdir(exist_ok=True)
        shutil.copy(work / name / file, folder)

    wav = torch.randn(2, 5 * CLIP_SAMPLES // 2).cumsum(1) * 0.01
    wav = 0.3 * (wav - wav.mean(1, keepdim=True)) / wav.std(1, keepdim=True)
    tokenizer = AutoTokenizer.from_pretrained(TEXT_MODEL)
    with torch.no_grad():
        cut = tokenizer([LONG_TEXT], return_tensors="pt", truncation=True, max_length=MAXIMUM_TOKENS)
        assert cut["input_ids"].shape == (1, MAXIMUM_TOKENS)
        text = model.mulan.text
        hidden = text.transformer(text.proj(text.model(**cut).last_hidden_state)).mean(dim=-2)
        outputs = {
            "audio_latents": model(wavs=wav),
            "text_latents_alone": torch.cat([model(texts=[text]) for text in TEXTS]),
            "text_latents_together": model(texts=TEXTS),
            "cut_latents": torch.nn.functional.normalize(model.mulan.text_to_latents(hidden), dim=-1),
        }
    outputs["similarity"] = model.calc_similarity(outputs["audio_latents"], outputs["text_latents_alone"])
    save_file({"wav": wav.contiguous()}, output / "inputs.safetensors")
    save_file({name: values.contiguous() for name, values in outputs.items()}, output / "outputs.safetensors")
    texts = {"texts": TEXTS, "long_text": LONG_TEXT, "num_tokens": [len(ids) for ids in tokenizer(TEXTS)["input_ids"]]}
    (output / "texts.json").write_text(json.dumps(texts, indent=1, ensure_ascii=False) + "\n")
    os.chdir(output)
    shutil.rmtree(work)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
