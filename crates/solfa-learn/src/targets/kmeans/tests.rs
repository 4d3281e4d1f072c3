use std::path::Path;

use solfa_signal::testing::{assert_close, assert_golden};

use super::*;
use crate::checkpoint::TensorSource;

fn golden() -> TensorSource {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/kmeans/case.safetensors");
    TensorSource::open_safetensors(&[path]).unwrap()
}

/// Numbers of the generator splitmix64, from 0 to 1.
fn unit(number: u64) -> f64 {
    let mut state = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^= state >> 31;
    (state >> 11) as f64 * 2f64.powi(-53)
}

/// The rows of `cloud` in `tools/reference/kmeans.py`.
fn cloud(num_rows: usize) -> Vec<f32> {
    const CLOUDS: usize = 60;
    const DIM: usize = 8;
    (0..num_rows * DIM)
        .map(|place| {
            let (row, column) = (place / DIM, place % DIM);
            let centre = unit((row % CLOUDS * DIM + column) as u64) * 10.0;
            let first = 1_000_000 + 4 * place as u64;
            (centre + (unit(first) + unit(first + 1) + unit(first + 2) + unit(first + 3) - 2.0)) as f32
        })
        .collect()
}

fn small(num_clusters: usize) -> KMeansConfig {
    KMeansConfig { batch_rows: 1_000, ..KMeansConfig::hubert(num_clusters) }
}

#[test]
fn batches_move_centroids_as_scikit_learn_does() {
    let case = golden();
    let (rows, initial) = (case.read_floats("rows").unwrap(), case.read_floats("initial").unwrap());
    let batches = case.read_integers("batches").unwrap();
    let mut fit = MiniBatchFit::new(KMeans::new(initial, 5).unwrap());
    for (number, batch) in batches.chunks_exact(80).enumerate() {
        let batch: Vec<f32> = batch.iter().flat_map(|&row| &rows[row as usize * 5..][..5]).copied().collect();
        let before = fit.kmeans.inertia(&batch).unwrap();
        assert_eq!(fit.update(&batch), before);
        let name = format!("centroids_{number}");
        assert_golden(&name, fit.kmeans.centroids(), &case.read_floats(&name).unwrap(), 1e-6);
    }
    let labels: Vec<i64> = fit.kmeans.assign(&rows).unwrap().into_iter().map(i64::from).collect();
    assert_eq!(labels, case.read_integers("labels").unwrap());
    let inertia = fit.kmeans.inertia(&rows).unwrap() as f32;
    assert_golden("inertia", &[inertia], &case.read_floats("inertia").unwrap(), 1e-6);
}

#[test]
fn a_fit_is_as_near_as_scikit_learns() {
    let case = golden();
    let rows = cloud(20_000);
    assert_close("the rows", &rows[..16], &case.read_floats("cloud_head").unwrap(), 1e-7);
    let expected = case.read_floats("cloud_inertias").unwrap();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let found: Vec<f64> = (0..3)
        .map(|seed| {
            let config = KMeansConfig { num_initializations: 5, ..small(50) };
            KMeans::fit(&rows, 8, &config, seed).unwrap().inertia(&rows).unwrap()
        })
        .collect();
    let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
    let ratio = mean(&found) / mean(&expected);
    assert!((0.9..1.06).contains(&ratio), "{found:?} beside {expected:?}");
}

#[test]
fn the_seed_decides_and_threads_do_not() {
    let rows = cloud(3_000);
    let fit = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let config = KMeansConfig { num_initializations: 2, max_iterations: 4, ..small(20) };
            let kmeans = KMeans::fit(&rows, 8, &config, seed).unwrap();
            let labels = kmeans.assign(&rows).unwrap();
            (kmeans, labels)
        })
    };
    assert!(fit(1, 1) == fit(3, 1));
    assert_ne!(fit(2, 1).0, fit(2, 2).0);
}

#[test]
fn well_apart_clouds_are_found_also_far_from_zero() {
    let mut rows = cloud(600);
    rows.chunks_exact_mut(8).enumerate().for_each(|(row, values)| {
        values.iter_mut().for_each(|value| *value += 5_000.0 + 100.0 * (row % 60) as f32);
    });
    let kmeans = KMeans::fit(&rows, 8, &small(60), 3).unwrap();
    let labels = kmeans.assign(&rows).unwrap();
    for (row, label) in labels.iter().enumerate() {
        assert_eq!(*label, labels[row % 60], "row {row}");
    }
    let mut of_clouds = labels[..60].to_vec();
    of_clouds.sort_unstable();
    of_clouds.dedup();
    assert_eq!(of_clouds.len(), 60);
}

#[test]
fn one_cluster_is_the_mean_and_as_many_as_rows_are_the_rows() {
    let rows = [1.0, 10.0, 2.0, 20.0, 6.0, 60.0];
    let one = KMeans::fit(
        &rows,
        2,
        &KMeansConfig { max_iterations: 2_000, max_no_improvement: 2_000, ..KMeansConfig::hubert(1) },
        1,
    )
    .unwrap();
    assert_eq!(one.assign(&rows).unwrap(), [0, 0, 0]);
    assert_close("the mean", one.centroids(), &[3.0, 30.0], 0.05);
    let all = KMeans::fit(&rows, 2, &KMeansConfig::hubert(3), 1).unwrap();
    assert_eq!(all.inertia(&rows).unwrap(), 0.0);
    let equal = KMeans::fit(&[4.0; 10], 1, &KMeansConfig::hubert(3), 1).unwrap();
    assert_eq!((equal.centroids(), equal.inertia(&[4.0; 10]).unwrap()), (&[4.0; 3][..], 0.0));
    assert!(equal.assign(&[]).unwrap().is_empty());
}

#[test]
fn what_cannot_be_fitted_is_an_error_with_its_numbers() {
    let error = |rows: &[f32], dim, config: &KMeansConfig| KMeans::fit(rows, dim, config, 1).unwrap_err().to_string();
    let config = KMeansConfig::hubert(2);
    assert_eq!(error(&[1.0; 6], 6, &config), "k-means: 2 clusters take as many rows, and there are 1");
    assert_eq!(error(&[], 6, &config), "k-means: 2 clusters take as many rows, and there are 0");
    assert_eq!(error(&[1.0; 7], 2, &config), "k-means: expected whole rows of 2 values, found 7 values");
    assert_eq!(error(&[1.0; 7], 0, &config), "k-means: expected whole rows of 0 values, found 7 values");
    for value in [f32::NAN, f32::NEG_INFINITY, 1e20] {
        let mut rows = [1.0; 8];
        rows[5] = value;
        let found = error(&rows, 2, &config);
        assert!(found.starts_with(&format!("k-means: row 2, column 1 is {value};")), "{found}");
    }
    let none = KMeansConfig { num_clusters: 0, ..config.clone() };
    assert_eq!(error(&[1.0; 8], 2, &none), "k-means: `num_clusters` is 0, at least 1 expected");
    let kmeans = KMeans::new(vec![0.0, 1.0], 1).unwrap();
    assert!(matches!(kmeans.assign(&[f32::NAN]).unwrap_err(), KMeansError::Value { row: 0, .. }));
    assert!(KMeans::new(Vec::new(), 3).is_err() && KMeans::new(vec![f32::NAN], 1).is_err());
}

#[test]
fn a_configuration_needs_its_clusters_only() {
    let config: KMeansConfig = serde_json::from_str(r#"{"num_clusters": 500}"#).unwrap();
    assert_eq!(config, KMeansConfig::hubert(500));
    assert!(serde_json::from_str::<KMeansConfig>(r#"{"num_clusters": 500, "seed": 1}"#).is_err());
}
