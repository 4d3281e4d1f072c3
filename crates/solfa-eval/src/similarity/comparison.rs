//! Every layer of one encoder beside every layer of another.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cka::{Estimate, Gram};
use super::file::{file_name, write_json};
use super::matrix::same_items;
use super::{CanonicalCorrelations, Matrix, SimilarityError, Truncation, WhitenedLayer, effective_rank};
use crate::store::StoreError;

/// The version of [`LayerComparison`]'s fields.
const SCHEMA: u32 = 1;

/// A measure of how alike two layers are; 1 is the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Linear CKA.
    Cka,
    /// Linear CKA with unbiased terms: 0 for independent layers.
    CkaDebiased,
    /// The mean canonical correlation.
    Cca,
    /// The mean canonical correlation of the directions with 99 % of the variance.
    Svcca,
    /// Projection-weighted canonical correlation, by the weights of the first encoder's layer.
    Pwcca,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 5] = [Self::Cka, Self::CkaDebiased, Self::Cca, Self::Svcca, Self::Pwcca];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cka => "cka",
            Self::CkaDebiased => "cka-debiased",
            Self::Cca => "cca",
            Self::Svcca => "svcca",
            Self::Pwcca => "pwcca",
        }
    }

    fn is_canonical(self) -> bool {
        matches!(self, Self::Cca | Self::Svcca | Self::Pwcca)
    }
}

/// How layers are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComparisonSettings {
    /// By what.
    pub measure: Measure,
    /// What of a layer takes part, for the measures by canonical correlation.
    pub truncation: Truncation,
}

impl ComparisonSettings {
    /// The settings that this program takes by default: canonical correlations of the directions with 99 % of the
    /// variance, since some thousand tracks are too few for all of a network's dimensions.
    pub fn new(measure: Measure) -> Self {
        Self { measure, truncation: Truncation::svcca() }
    }
}

/// What one encoder makes of some items.
#[derive(Clone, Debug)]
pub struct EncoderLayers<'values> {
    /// Name of the encoder.
    pub encoder: String,
    /// The spaces of its features: one for all layers, or one for each.
    pub space_ids: Vec<String>,
    /// Numbers of the layers.
    pub layers: Vec<usize>,
    /// For each of them, the same items in the same order.
    pub features: Vec<Matrix<'values>>,
}

/// How alike the layers of two encoders are: a file `similarity/<name>.json` of a folder of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerComparison {
    /// 1.
    pub schema: u32,
    /// Name of the first encoder, whose layers are the rows.
    pub encoder_a: String,
    /// Name of the second encoder, whose layers are the columns. May be the first one.
    pub encoder_b: String,
    /// `space_id`s of the first encoder's features.
    pub space_ids_a: Vec<String>,
    /// `space_id`s of the second encoder's features.
    pub space_ids_b: Vec<String>,
    /// What was measured.
    pub measure: Measure,
    /// Numbers of the first encoder's layers.
    pub layers_a: Vec<usize>,
    /// Numbers of the second encoder's layers.
    pub layers_b: Vec<usize>,
    /// A row for each layer of the first encoder. For [`Measure::Pwcca`] by the weights of the first encoder's layer.
    pub values: Vec<Vec<f64>>,
    /// For [`Measure::Pwcca`], the same by the weights of the second encoder's layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_weighted_by_b: Option<Vec<Vec<f64>>>,
    /// Number of items, the same for all layers.
    pub items: u64,
    /// What an item is: `tracks`, `frames`.
    pub item_kind: String,
    /// Name of the data set that the items are of. Informative.
    pub dataset: Option<String>,
    /// For measures by canonical correlation, the share of the variance that was kept.
    pub variance_kept: Option<f64>,
    /// For measures by canonical correlation, the directions that were kept of each of the first encoder's layers.
    #[serde(default)]
    pub ranks_a: Vec<u64>,
    /// The same of the second encoder's layers.
    #[serde(default)]
    pub ranks_b: Vec<u64>,
    /// The largest mean squared correlation that layers of these ranks would have with nothing in common.
    pub chance_mean_square: Option<f64>,
    /// The largest share of correlations that are 1 in some pair for want of items, whatever the layers are.
    pub forced_share: Option<f64>,
    /// Effective rank of each of the first encoder's layers.
    pub effective_ranks_a: Vec<f64>,
    /// Effective rank of each of the second encoder's layers.
    pub effective_ranks_b: Vec<f64>,
}

impl LayerComparison {
    /// Compares all layers of two encoders on the same items. `a` and `b` may be the same.
    ///
    /// What is needed of a layer alone is computed once: its centred products (`8 items²` bytes each) for CKA, its
    /// decomposition for the others.
    ///
    /// # Errors
    ///
    /// As the measure, and [`SimilarityError::Length`] where names, layers and features differ in number.
    pub fn of(
        a: &EncoderLayers<'_>,
        b: &EncoderLayers<'_>,
        settings: &ComparisonSettings,
        item_kind: &str,
        dataset: Option<&str>,
    ) -> Result<Self, SimilarityError> {
        for side in [a, b] {
            let (expected, found) = (side.features.len(), side.layers.len());
            if expected != found || expected == 0 {
                return Err(SimilarityError::Length { what: "numbers of layers", expected: expected.max(1), found });
            }
        }
        let first = a.features[0];
        for layer in a.features.iter().chain(&b.features) {
            same_items(&first, layer, "a comparison of layers", 3)?;
        }
        let is_same = a.features.len() == b.features.len()
            && a.features.iter().zip(&b.features).all(|(a, b)| std::ptr::eq(a.row(0), b.row(0)) && a.dim() == b.dim());
        let ranks = |side: &EncoderLayers<'_>| {
            side.features.par_iter().map(|layer| effective_rank(*layer)).collect::<Result<Vec<_>, _>>()
        };
        let effective_ranks_a = ranks(a)?;
        let effective_ranks_b = if is_same { effective_ranks_a.clone() } else { ranks(b)? };
        let mut comparison = Self {
            schema: SCHEMA,
            encoder_a: a.encoder.clone(),
            encoder_b: b.encoder.clone(),
            space_ids_a: a.space_ids.clone(),
            space_ids_b: b.space_ids.clone(),
            measure: settings.measure,
            layers_a: a.layers.clone(),
            layers_b: b.layers.clone(),
            values: Vec::new(),
            values_weighted_by_b: None,
            items: first.items() as u64,
            item_kind: item_kind.to_owned(),
            dataset: dataset.map(str::to_owned),
            variance_kept: None,
            ranks_a: Vec::new(),
            ranks_b: Vec::new(),
            chance_mean_square: None,
            forced_share: None,
            effective_ranks_a,
            effective_ranks_b,
        };
        let b = if is_same { None } else { Some(b.features.as_slice()) };
        if settings.measure.is_canonical() {
            comparison.fill_canonical(&a.features, b, settings)?;
        } else {
            let estimate = if settings.measure == Measure::Cka { Estimate::Biased } else { Estimate::Unbiased };
            comparison.values = alignments(&a.features, b, estimate)?;
        }
        Ok(comparison)
    }

    /// Writes `similarity/<first>--<second>.<measure>.json` into a folder of results, whole or not at all, and says where.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be written.
    pub fn write(&self, results: &Path) -> Result<PathBuf, StoreError> {
        let name =
            format!("{}--{}.{}.json", file_name(&self.encoder_a), file_name(&self.encoder_b), self.measure.name());
        let path = results.join("similarity").join(name);
        write_json(&path, self)?;
        Ok(path)
    }

    /// Canonical correlations of all pairs; `b` is `None` for an encoder beside itself.
    fn fill_canonical(
        &mut self,
        a: &[Matrix<'_>],
        b: Option<&[Matrix<'_>]>,
        settings: &ComparisonSettings,
    ) -> Result<(), SimilarityError> {
        let truncation = match settings.measure {
            Measure::Svcca => Truncation { variance: Truncation::svcca().variance, ..settings.truncation },
            _ => settings.truncation,
        };
        let whitened = |layers: &[Matrix<'_>]| {
            layers.par_iter().map(|layer| WhitenedLayer::new(*layer, &truncation)).collect::<Result<Vec<_>, _>>()
        };
        let of_a = whitened(a)?;
        let of_b = b.map(whitened).transpose()?;
        let right = of_b.as_ref().unwrap_or(&of_a);
        let is_same = of_b.is_none();
        let pairs = pairs(of_a.len(), right.len(), is_same);
        let found = pairs
            .par_iter()
            .map(|&(row, column)| CanonicalCorrelations::of(&of_a[row], &right[column]))
            .collect::<Result<Vec<_>, _>>()?;
        let mut by_a = vec![vec![0.0; right.len()]; of_a.len()];
        let mut by_b = by_a.clone();
        let (mut chance, mut forced) = (0.0_f64, 0.0_f64);
        for (&(row, column), correlations) in pairs.iter().zip(&found) {
            let weighted = correlations.projection_weighted();
            let (value_a, value_b) = match settings.measure {
                Measure::Pwcca => (weighted.by_a, weighted.by_b),
                _ => (correlations.mean(), correlations.mean()),
            };
            (by_a[row][column], by_b[row][column]) = (value_a, value_b);
            if is_same {
                (by_a[column][row], by_b[column][row]) = (value_b, value_a);
            }
            chance = chance.max(correlations.chance_mean_square());
            forced = forced.max(correlations.num_forced() as f64 / correlations.correlations.len() as f64);
        }
        self.values = by_a;
        self.values_weighted_by_b = (settings.measure == Measure::Pwcca).then_some(by_b);
        self.variance_kept = Some(truncation.variance);
        self.ranks_a = of_a.iter().map(|layer| layer.rank() as u64).collect();
        self.ranks_b = right.iter().map(|layer| layer.rank() as u64).collect();
        (self.chance_mean_square, self.forced_share) = (Some(chance), Some(forced));
        Ok(())
    }
}

/// Which pairs have to be computed: of a symmetric matrix, one half.
fn pairs(rows: usize, columns: usize, is_same: bool) -> Vec<(usize, usize)> {
    let from = |row: usize| if is_same { row } else { 0 };
    (0..rows).flat_map(|row| (from(row)..columns).map(move |column| (row, column))).collect()
}

fn alignments(
    a: &[Matrix<'_>],
    b: Option<&[Matrix<'_>]>,
    estimate: Estimate,
) -> Result<Vec<Vec<f64>>, SimilarityError> {
    let grams = |layers: &[Matrix<'_>]| {
        layers.par_iter().map(|layer| Gram::of(*layer, estimate)).collect::<Result<Vec<_>, _>>()
    };
    let of_a = grams(a)?;
    let of_b = b.map(grams).transpose()?;
    let right = of_b.as_ref().unwrap_or(&of_a);
    let pairs = pairs(of_a.len(), right.len(), of_b.is_none());
    let found =
        pairs.par_iter().map(|&(row, column)| of_a[row].alignment(&right[column])).collect::<Result<Vec<_>, _>>()?;
    let mut values = vec![vec![0.0; right.len()]; of_a.len()];
    for (&(row, column), value) in pairs.iter().zip(found) {
        values[row][column] = value;
        if of_b.is_none() {
            values[column][row] = value;
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::whitening::tests::{noise, times};
    use crate::similarity::{debiased_cka, linear_cka, svcca};

    const ITEMS: usize = 120;

    fn layers(values: &[Vec<f32>]) -> EncoderLayers<'_> {
        let features: Vec<_> =
            values.iter().map(|values| Matrix::new(values, ITEMS, values.len() / ITEMS).unwrap()).collect();
        EncoderLayers {
            encoder: "tiny".into(),
            space_ids: vec!["0123".into()],
            layers: (0..features.len()).collect(),
            features,
        }
    }

    fn chain(seed: u64) -> Vec<Vec<f32>> {
        let first = noise(ITEMS, 6, seed);
        let second = times(&first, 6, &noise(6, 8, seed + 1));
        let third = second.iter().zip(noise(ITEMS, 8, seed + 2)).map(|(value, noise)| value + 2.0 * noise).collect();
        vec![first, second, third]
    }

    #[test]
    fn every_pair_is_what_the_measure_says() {
        let (a, b) = (chain(1), chain(11));
        let (a, b) = (layers(&a), layers(&b));
        for measure in Measure::ALL {
            let settings = ComparisonSettings::new(measure);
            let found = LayerComparison::of(&a, &b, &settings, "tracks", Some("made up")).unwrap();
            let own = LayerComparison::of(&a, &a, &settings, "tracks", None).unwrap();
            assert_eq!((found.values.len(), found.values[0].len(), found.items), (3, 3, ITEMS as u64));
            for row in 0..3 {
                assert!((own.values[row][row] - 1.0).abs() < 1e-9, "{measure:?}");
                for column in 0..3 {
                    let (x, y) = (a.features[row], b.features[column]);
                    let canonical = |x, y| {
                        let whitened = |layer| WhitenedLayer::new(layer, &settings.truncation).unwrap();
                        CanonicalCorrelations::of(&whitened(x), &whitened(y)).unwrap()
                    };
                    let of_pair = |x, y| match measure {
                        Measure::Cka => linear_cka(x, y).unwrap(),
                        Measure::CkaDebiased => debiased_cka(x, y).unwrap(),
                        Measure::Cca | Measure::Svcca => svcca(x, y).unwrap(),
                        Measure::Pwcca => canonical(x, y).projection_weighted().by_a,
                    };
                    assert!((found.values[row][column] - of_pair(x, y)).abs() < 1e-9, "{measure:?}");
                    let within = of_pair(x, a.features[column]);
                    assert!((own.values[row][column] - within).abs() < 1e-9, "{measure:?}");
                }
            }
            assert!(found.values[0][0] < own.values[0][1], "{measure:?}");
            assert_eq!(found.values_weighted_by_b.is_some(), measure == Measure::Pwcca);
            assert_eq!(found.ranks_a.len(), if measure.is_canonical() { 3 } else { 0 });
            let text = serde_json::to_string(&found).unwrap();
            assert!(text.contains(&format!("\"measure\":\"{}\"", measure.name())), "{text}");
            assert_eq!(serde_json::from_str::<LayerComparison>(&text).unwrap(), found);
        }
    }

    #[test]
    fn lists_that_do_not_fit_are_named() {
        let a = chain(1);
        let mut wrong = layers(&a);
        wrong.layers.pop();
        let settings = ComparisonSettings::new(Measure::Cka);
        let error = LayerComparison::of(&layers(&a), &wrong, &settings, "tracks", None).unwrap_err();
        assert_eq!(error, SimilarityError::Length { what: "numbers of layers", expected: 3, found: 2 });
        let mut fewer = layers(&a);
        fewer.features[2] = fewer.features[2].part(0..50);
        let error = LayerComparison::of(&layers(&a), &fewer, &settings, "tracks", None).unwrap_err();
        assert_eq!(error, SimilarityError::ItemsDiffer { a: ITEMS, b: 50 });
    }
}
