//! Spaces and embeddings that tests of the store share.

use solfa_signal::frames::Pooling;

use super::{DTYPE, EmbeddedLayer, Embedding, EmbeddingSpace, FrameSpool, LayerValues};

/// Layers 0 (3 wide) and 5 (4 wide), mean over 30-second windows.
pub(crate) fn pooled_space() -> EmbeddingSpace {
    EmbeddingSpace {
        model: "test/model".to_owned(),
        encoder_identity: "ab".repeat(32),
        weights_sha256: Some("cd".repeat(32)),
        layers: vec![0, 5],
        layer_dims: vec![3, 4],
        frames_per_second: vec![25.0, 12.5],
        pooling: Pooling::Mean,
        window_seconds: Some(30.0),
        hop_seconds: Some(7.5),
        tail: "pad".to_owned(),
        resampler: "sinc-hann".to_owned(),
        sample_rate: 24_000,
        dtype: DTYPE.to_owned(),
        numerics_version: 1,
        program_version: "0.1.0".to_owned(),
    }
}

/// The same without pooling.
pub(crate) fn frames_space() -> EmbeddingSpace {
    EmbeddingSpace { pooling: Pooling::None, ..pooled_space() }
}

/// The same with layer 5 alone.
pub(crate) fn one_layer(space: EmbeddingSpace) -> EmbeddingSpace {
    EmbeddingSpace { layers: vec![5], layer_dims: vec![4], frames_per_second: vec![12.5], ..space }
}

/// Two vectors that depend on the path, with values that are awkward in decimal.
pub(crate) fn pooled_embedding(path: &str) -> Embedding {
    let seed = path.bytes().map(f32::from).sum::<f32>();
    let vector = |dim: usize| (0..dim).map(|index| (seed + index as f32) / 7.0 - 1e-8).collect();
    Embedding {
        path: path.to_owned(),
        duration_seconds: 12.25,
        layers: vec![
            EmbeddedLayer { number: 0, values: LayerValues::Pooled(vector(3)) },
            EmbeddedLayer { number: 5, values: LayerValues::Pooled(vector(4)) },
        ],
    }
}

/// `2 * num_frames` frames of layer 0 and `num_frames` of layer 5.
pub(crate) fn frames_embedding(path: &str, num_frames: usize) -> Embedding {
    let layer = |number: usize, num_frames: usize, dim: usize| {
        let mut spool = FrameSpool::new(number, dim, 1 << 20, std::env::temp_dir().as_path());
        let values: Vec<f32> = (0..num_frames * dim).map(|index| (index as f32 / 3.0).sin() + number as f32).collect();
        spool.push(&values).unwrap();
        EmbeddedLayer { number, values: LayerValues::Frames(spool.finish().unwrap()) }
    };
    Embedding {
        path: path.to_owned(),
        duration_seconds: 0.5,
        layers: vec![layer(0, 2 * num_frames, 3), layer(5, num_frames, 4)],
    }
}

/// Layer 5 of an embedding alone.
pub(crate) fn last_layer(mut embedding: Embedding) -> Embedding {
    embedding.layers.remove(0);
    embedding
}

/// The values of every layer.
pub(crate) fn values(embedding: &mut Embedding) -> Vec<Vec<f32>> {
    let read = |layer: &mut EmbeddedLayer| match &mut layer.values {
        LayerValues::Pooled(vector) => vector.clone(),
        LayerValues::Frames(series) => series.read_all().unwrap(),
    };
    embedding.layers.iter_mut().map(read).collect()
}
