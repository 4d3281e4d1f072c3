//! Similarity of layers against the papers' formulas in numpy.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as tests do")]

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use solfa_eval::similarity::{
    CanonicalCorrelations, CrossMoments, Matrix, Truncation, WhitenedLayer, debiased_cka, effective_rank, linear_cka,
    svcca,
};
use solfa_signal::testing::assert_golden;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/similarity").join(name)
}

fn layer(file: &SafeTensors<'_>, name: &str) -> (Vec<f32>, usize, usize) {
    let view = file.tensor(name).unwrap();
    let values = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    (values, view.shape()[0], view.shape()[1])
}

#[test]
fn similarity_is_what_the_papers_formulas_give() {
    let inputs = std::fs::read(case("inputs.safetensors")).unwrap();
    let inputs = SafeTensors::deserialize(&inputs).unwrap();
    let (x, y) = (layer(&inputs, "x"), layer(&inputs, "y"));
    let (x, y) = (Matrix::new(&x.0, x.1, x.2).unwrap(), Matrix::new(&y.0, y.1, y.2).unwrap());

    let all = Truncation::default();
    let whitened = |layer, truncation: &Truncation| WhitenedLayer::new(layer, truncation).unwrap();
    let canonical = CanonicalCorrelations::of(&whitened(x, &all), &whitened(y, &all)).unwrap();
    let weighted = canonical.projection_weighted();
    let mut moments = CrossMoments::new(x.dim(), y.dim());
    for start in [0, 50, 100] {
        moments.add(x.part(start..start + 50), y.part(start..start + 50)).unwrap();
    }
    let streamed = moments.canonical_correlations(&all).unwrap();
    let ranks = [x, y].map(|layer| whitened(layer, &Truncation::svcca()).rank() as f64);
    let found = [
        ("cka", vec![linear_cka(x, y).unwrap()]),
        ("cka", vec![moments.linear_cka().unwrap()]),
        ("cka_debiased", vec![debiased_cka(x, y).unwrap()]),
        ("correlations", canonical.correlations.clone()),
        ("correlations", streamed.correlations.clone()),
        ("pwcca", vec![weighted.by_a, weighted.by_b]),
        ("pwcca", vec![streamed.projection_weighted().by_a, streamed.projection_weighted().by_b]),
        ("svcca", vec![svcca(x, y).unwrap()]),
        ("svcca_ranks", ranks.to_vec()),
        ("effective_ranks", vec![effective_rank(x).unwrap(), effective_rank(y).unwrap()]),
    ];
    let outputs = std::fs::read(case("outputs.safetensors")).unwrap();
    let outputs = SafeTensors::deserialize(&outputs).unwrap();
    assert_eq!(outputs.len(), 7, "every output is compared below");
    for (name, values) in found {
        let view = outputs.tensor(name).unwrap();
        let expected: Vec<f64> = view.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        assert_golden(name, &single(&values), &single(&expected), 1e-6);
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-7, "{name}: {value} and {expected}");
        }
    }
}
