//! Centroids in a safetensors file: the tensor `centroids`, `[clusters, dim]`, and what they were fitted to.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Difference, StoredTargetError};
use crate::checkpoint::{CheckpointError, DescribedTensors, StagedFile, StoredType, described_header};
use crate::targets::KMeans;

/// The key of the description in the file's metadata, and its name in errors.
const KEY: &str = "solfa_kmeans";
const EXPECTED: &str = "centroids with a description under `solfa_kmeans` in the metadata";

/// What centroids were fitted to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KMeansDescription {
    /// What a row is: a feature's configuration, or a layer of a model with the model's hash. Rows of anything else mean
    /// nothing to these centroids.
    pub feature: serde_json::Value,
    /// The collection that they were fitted to, by [`Collection::data_sha256`](crate::data::Collection::data_sha256).
    /// Centroids can be used on others.
    pub data_sha256: Option<String>,
    /// The seed of the fit.
    pub seed: u64,
}

/// Writes centroids, whole or not at all.
///
/// # Errors
/// [`StoredTargetError::File`] for a file that cannot be written.
pub fn save_kmeans(path: &Path, kmeans: &KMeans, description: &KMeansDescription) -> Result<(), StoredTargetError> {
    let shape = [kmeans.num_clusters(), kmeans.dim()];
    let (staged, ()) = StagedFile::write_with(path.to_owned(), |file| {
        let text = serde_json::to_string(description)?;
        file.write_all(&described_header((KEY, text), &[("centroids", StoredType::F32, &shape)], None)?)?;
        kmeans.centroids().iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
    })?;
    Ok(staged.commit()?)
}

/// Reads centroids. With `feature`, those that were fitted to another feature are refused, with every field that differs.
///
/// # Errors
/// [`StoredTargetError`] for a file that cannot be read, is damaged, holds no centroids, or centroids of something else.
pub fn load_kmeans(
    path: &Path,
    feature: Option<&serde_json::Value>,
) -> Result<(KMeans, KMeansDescription), StoredTargetError> {
    let file = DescribedTensors::open(path)?;
    let wrong = |found| StoredTargetError::Description { path: path.to_owned(), expected: EXPECTED, found };
    let text = file.text(KEY).ok_or_else(|| wrong("none".into()))?;
    let description: KMeansDescription =
        serde_json::from_str(text).map_err(|error| wrong(format!("{text}: {error}")))?;
    if let Some(expected) = feature {
        let differences = differences(expected, &description.feature);
        if !differences.is_empty() {
            let what = "centroids of another feature";
            return Err(StoredTargetError::Other { path: path.to_owned(), what, differences });
        }
    }
    let (_, shape, bytes) = file.tensor("centroids", &[StoredType::F32])?;
    let &[_, dim] = shape.as_slice() else {
        let reason = format!("centroids: expected a shape of [clusters, dim], found {shape:?}");
        return Err(CheckpointError::Damaged { path: path.to_owned(), reason }.into());
    };
    let centroids = bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
    let kmeans =
        KMeans::new(centroids, dim).map_err(|source| StoredTargetError::KMeans { path: path.to_owned(), source })?;
    Ok((kmeans, description))
}

/// The fields in which two objects differ; the values themselves where they are none.
fn differences(expected: &serde_json::Value, found: &serde_json::Value) -> Vec<Difference> {
    let text = |value: Option<&serde_json::Value>| value.map_or("none".to_owned(), ToString::to_string);
    match (expected.as_object(), found.as_object()) {
        (Some(expected), Some(found)) => {
            let mut names: Vec<&String> = expected.keys().chain(found.keys()).collect();
            names.sort_unstable();
            names.dedup();
            let differing = names.into_iter().filter(|name| expected.get(*name) != found.get(*name));
            differing
                .map(|name| Difference {
                    field: format!("feature.{name}"),
                    expected: text(expected.get(name)),
                    found: text(found.get(name)),
                })
                .collect()
        }
        _ if expected == found => Vec::new(),
        _ => vec![Difference { field: "feature".into(), expected: text(Some(expected)), found: text(Some(found)) }],
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;
    use serde_json::json;

    use super::*;

    fn saved(folder: &Path) -> (std::path::PathBuf, KMeans, KMeansDescription) {
        let path = folder.join("kmeans.safetensors");
        let kmeans = KMeans::new(vec![0.5, -1.0, 2.0, 3.0, f32::MIN_POSITIVE, -0.0], 2).unwrap();
        let feature = json!({"kind": "mfcc", "num_coefficients": 13});
        let description = KMeansDescription { feature, data_sha256: Some("ab".into()), seed: 7 };
        save_kmeans(&path, &kmeans, &description).unwrap();
        (path, kmeans, description)
    }

    #[test]
    fn centroids_read_back_with_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kmeans, description) = saved(folder.path());
        let found = load_kmeans(&path, Some(&description.feature)).unwrap();
        assert_eq!(found, (kmeans, description));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn centroids_of_another_feature_are_refused_field_by_field() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ..) = saved(folder.path());
        let error = |feature| load_kmeans(&path, Some(&feature)).unwrap_err().to_string();
        let found = error(json!({"kind": "mfcc", "num_coefficients": 20, "deltas": true}));
        assert!(found.contains("kmeans.safetensors: centroids of another feature:\n"), "{found}");
        assert!(found.contains("feature.num_coefficients: expected 20, found 13"), "{found}");
        assert!(found.contains("feature.deltas: expected true, found none"), "{found}");
        assert!(!found.contains("kind"), "{found}");
        assert!(error(json!("mfcc")).contains("feature: expected \"mfcc\", found {"));
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ..) = saved(folder.path());
        let whole = fs::read(&path).unwrap();
        let error = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let error = load_kmeans(&path, None).unwrap_err().to_string();
            assert!(error.contains("kmeans.safetensors"), "{error}");
            error
        };
        for length in [0, 1, 7, 8, 50, whole.len() - 1] {
            error(&whole[..length]);
        }
        error(&[whole.as_slice(), &[0]].concat());
        let mut nan = whole.clone();
        let last = nan.len() - 4;
        nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(error(&nan).contains("row 2, column 1 is NaN"));
        let other = String::from_utf8_lossy(&whole[8..60]).replace("solfa_kmeans", "other_kmeans");
        let mut renamed = whole.clone();
        renamed[8..60].copy_from_slice(other.as_bytes());
        assert!(error(&renamed).contains("expected centroids with a description"));
        let missing = load_kmeans(&folder.path().join("none"), None).unwrap_err().to_string();
        assert!(missing.contains("none: cannot be read"), "{missing}");
    }
}
