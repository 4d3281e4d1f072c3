//! What a report shows: rows of results, gathered into panels.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::notes;
use super::numbers::{Unit, less_is_better, unit_of};
use super::read::{Contents, Problem, ReportError, read};
use crate::results::{LayerWeights, PairedComparison, ResultRow};
use crate::similarity::{LayerComparison, TrackView};

/// A folder of results, ready to be shown.
#[derive(Clone, Debug)]
pub struct Report {
    /// One for each task, protocol and head, in the order in which they were first measured.
    pub panels: Vec<Panel>,
    /// Every encoder that has results, in the order in which it was first measured.
    pub encoders: Vec<Encoder>,
    /// What learned mixtures of layers came to.
    pub mixtures: Vec<LearnedMixture>,
    /// Results on the same recordings.
    pub paired: Vec<PairedComparison>,
    /// Layers beside layers.
    pub comparisons: Vec<LayerComparison>,
    /// Single tracks.
    pub tracks: Vec<TrackView>,
    /// Where all of this comes from.
    pub provenance: Provenance,
    /// What a reader must know before believing it.
    pub notes: Vec<String>,
    /// What could not be shown.
    pub problems: Vec<Problem>,
}

/// An encoder.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Its name.
    pub name: String,
    /// `space_id`s of its features.
    pub space_ids: Vec<String>,
    /// Whether it has one layer alone, as hand-made features do: a line to be above.
    pub is_baseline: bool,
}

/// One task, measured in one way.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The task, and whatever tells this panel from another one of the same task.
    pub title: String,
    /// Name of the task.
    pub task: String,
    /// Name of the data set.
    pub dataset: String,
    /// Hash of its lines.
    pub dataset_sha256: String,
    /// Protocol of the probes.
    pub protocol: String,
    /// Kind of the probes.
    pub head: String,
    /// Name of the score that is shown.
    pub metric: String,
    /// What it counts in.
    pub unit: Unit,
    /// Whether less is better.
    pub less_is_better: bool,
    /// Recordings that were learned from, that chose, and that were scored: of the first row.
    pub num_recordings: (u64, u64, u64),
    /// One for each encoder.
    pub series: Vec<Series>,
    /// Scores by the share of labels, where there is more than one.
    pub label_curves: Vec<LabelCurve>,
}

/// One encoder on one task.
#[derive(Clone, Debug)]
pub struct Series {
    /// Which of [`Report::encoders`].
    pub encoder: usize,
    /// Single layers in order; then `weighted`, `all`, `joint`.
    pub points: Vec<Point>,
    /// Which of the points is the best single layer, or the best at all where there is none.
    pub best: usize,
    /// Whether validation chose it; otherwise the test split itself did.
    pub is_chosen_by_validation: bool,
    /// Other scores of the best point.
    pub others: Vec<OtherScore>,
}

/// A score that is not the task's first one.
#[derive(Clone, Debug)]
pub struct OtherScore {
    /// Its name.
    pub metric: String,
    /// Its value.
    pub point: Point,
}

/// One score.
#[derive(Clone, Debug)]
pub struct Point {
    /// The layer, as rows have it.
    pub layer: String,
    /// Its number, of a single layer.
    pub number: Option<usize>,
    /// The mean over seeds.
    pub value: f64,
    /// 95 % interval.
    pub interval: Option<(f64, f64)>,
    /// On the validation split.
    pub validation: Option<f64>,
    /// Number of trainings.
    pub num_seeds: usize,
}

/// One encoder's score by the share of labels that was learned from.
#[derive(Clone, Debug)]
pub struct LabelCurve {
    /// Which of [`Report::encoders`].
    pub encoder: usize,
    /// The layer.
    pub layer: String,
    /// Ascending.
    pub points: Vec<LabelPoint>,
}

/// The score at one share of labels.
#[derive(Clone, Copy, Debug)]
pub struct LabelPoint {
    /// From 0 to 1.
    pub fraction: f64,
    /// The mean over draws and seeds.
    pub value: f64,
    /// The smallest of the draws.
    pub low: f64,
    /// The largest of the draws.
    pub high: f64,
    /// Number of draws.
    pub num_draws: usize,
}

/// The weights of layers in one encoder's mixture for one task.
#[derive(Clone, Debug)]
pub struct LearnedMixture {
    /// Name of the task.
    pub task: String,
    /// Name of the encoder.
    pub encoder: String,
    /// Numbers of the layers.
    pub layers: Vec<usize>,
    /// Their mean weights over runs and seeds.
    pub weights: Vec<f64>,
    /// Number of trainings.
    pub num_runs: usize,
}

/// Where results come from.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// Lines of `results.jsonl` that could be read.
    pub num_rows: usize,
    /// Name and hash of every data set.
    pub datasets: Vec<(String, String)>,
    /// Protocols.
    pub protocols: Vec<String>,
    /// Heads.
    pub heads: Vec<String>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Versions of the program.
    pub versions: Vec<String>,
    /// The first and the last time of a row.
    pub times: Option<(String, String)>,
}

impl Report {
    /// Reads a folder of results: `results.jsonl`, `layer-weights.jsonl`, `comparisons.jsonl`, `similarity/*.json` and
    /// `tracks/*.json`, each of which may be absent. A broken line or file is named in [`Report::problems`], and the rest
    /// is shown.
    ///
    /// # Errors
    ///
    /// [`ReportError`] where the folder itself cannot be read.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        Ok(Self::of(read(folder)?))
    }

    pub(super) fn of(contents: Contents) -> Self {
        let Contents { rows, weights, paired, comparisons, tracks, problems } = contents;
        let mut gathered = Gathered::of(&rows);
        let panels = gathered.panels();
        let mut encoders = gathered.encoders;
        for (index, encoder) in encoders.iter_mut().enumerate() {
            let of_encoder = panels.iter().flat_map(|panel| &panel.series).filter(|series| series.encoder == index);
            encoder.is_baseline =
                of_encoder.map(|series| series.points.iter().filter(|point| point.number.is_some()).count()).max()
                    == Some(1);
        }
        let mut report = Self {
            panels,
            encoders,
            mixtures: mixtures(&weights),
            paired,
            comparisons,
            tracks,
            provenance: Provenance::of(&rows),
            notes: Vec::new(),
            problems,
        };
        report.notes = notes::of(&report, &rows);
        report
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.panels.is_empty() && self.mixtures.is_empty() && self.comparisons.is_empty() && self.tracks.is_empty()
    }

    /// The place of an encoder in [`Report::encoders`].
    pub fn encoder_index(&self, name: &str) -> Option<usize> {
        self.encoders.iter().position(|encoder| encoder.name == name)
    }
}

impl Panel {
    /// Which series has the best score at its best layer.
    pub fn best_series(&self) -> Option<usize> {
        let value = |index: &usize| self.series[*index].best_point().value;
        (0..self.series.len()).reduce(|best, index| {
            let is_better =
                if self.less_is_better { value(&index) < value(&best) } else { value(&index) > value(&best) };
            if is_better { index } else { best }
        })
    }

    /// The smallest and the largest score of single layers, over encoders that have several; over all where none has. An
    /// encoder that stays below every layer of the best one is left out: an untrained network says nothing of the others'
    /// layers.
    pub fn layer_range(&self) -> (f64, f64) {
        let range = |values: &[f64]| {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            (low, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        };
        let layered: Vec<Vec<f64>> = self
            .series
            .iter()
            .map(|series| series.layer_values().collect())
            .filter(|values: &Vec<f64>| values.len() > 1)
            .collect();
        let goodness = |values: &[f64]| if self.less_is_better { -range(values).0 } else { range(values).1 };
        let Some(best) = layered.iter().max_by(|a, b| goodness(a).total_cmp(&goodness(b))) else {
            return range(
                &self
                    .series
                    .iter()
                    .flat_map(|series| series.points.iter().map(|point| point.value))
                    .collect::<Vec<_>>(),
            );
        };
        let worst_of_best = if self.less_is_better { -range(best).1 } else { range(best).0 };
        let comparable = layered.iter().filter(|values| goodness(values) >= worst_of_best);
        range(&comparable.flatten().copied().collect::<Vec<_>>())
    }
}

impl Series {
    /// The best single layer.
    pub fn best_point(&self) -> &Point {
        &self.points[self.best]
    }

    fn layer_values(&self) -> impl Iterator<Item = f64> {
        self.points.iter().filter(|point| point.number.is_some()).map(|point| point.value)
    }
}

/// Task, hash of the data, protocol, head.
type PanelKey<'rows> = (&'rows str, &'rows str, &'rows str, &'rows str);

/// All rows that are the same but for draw and seed.
#[derive(Default)]
struct Cell<'rows> {
    /// Means over seeds, by draw.
    means: BTreeMap<u32, &'rows ResultRow>,
    /// Single trainings, by draw and seed.
    trainings: BTreeMap<(u32, u64), &'rows ResultRow>,
}

/// Layers, each by share of labels.
type Layers<'rows> = BTreeMap<LayerOrder<'rows>, BTreeMap<u64, Cell<'rows>>>;

/// The runs of one mixture, by run and seed.
type Runs<'weights> = BTreeMap<(&'weights str, u64), &'weights LayerWeights>;

struct Gathered<'rows> {
    keys: Vec<PanelKey<'rows>>,
    first_rows: Vec<&'rows ResultRow>,
    encoders: Vec<Encoder>,
    /// By panel: metrics in order, with whether they are headlines.
    metrics: Vec<Vec<(&'rows str, bool)>>,
    /// By panel, encoder and metric: layers, each by share of labels (in its bits, which ascend as the share does).
    cells: HashMap<(usize, usize, &'rows str), Layers<'rows>>,
}

/// Numbers in order, then names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LayerOrder<'rows> {
    Number(usize, &'rows str),
    Name(&'rows str),
}

impl<'rows> LayerOrder<'rows> {
    fn of(layer: &'rows str) -> Self {
        layer.parse().map_or(Self::Name(layer), |number| Self::Number(number, layer))
    }

    fn text(self) -> &'rows str {
        match self {
            Self::Number(_, text) | Self::Name(text) => text,
        }
    }

    fn number(self) -> Option<usize> {
        match self {
            Self::Number(number, _) => Some(number),
            Self::Name(_) => None,
        }
    }
}

impl<'rows> Gathered<'rows> {
    fn of(rows: &'rows [ResultRow]) -> Self {
        let mut gathered = Self {
            keys: Vec::new(),
            first_rows: Vec::new(),
            encoders: Vec::new(),
            metrics: Vec::new(),
            cells: HashMap::new(),
        };
        let (mut panel_places, mut encoder_places) = (HashMap::new(), HashMap::new());
        for row in rows {
            let key = (row.task.as_str(), row.dataset_sha256.as_str(), row.protocol.as_str(), row.head.as_str());
            let panel = *panel_places.entry(key).or_insert_with(|| {
                gathered.keys.push(key);
                gathered.first_rows.push(row);
                gathered.metrics.push(Vec::new());
                gathered.keys.len() - 1
            });
            let encoder = *encoder_places.entry(row.encoder.as_str()).or_insert_with(|| {
                let name = row.encoder.clone();
                gathered.encoders.push(Encoder { name, space_ids: Vec::new(), is_baseline: false });
                gathered.encoders.len() - 1
            });
            let space_ids = &mut gathered.encoders[encoder].space_ids;
            if !space_ids.contains(&row.space_id) {
                space_ids.push(row.space_id.clone());
            }
            let metrics = &mut gathered.metrics[panel];
            match metrics.iter_mut().find(|(name, _)| *name == row.metric) {
                Some((_, is_headline)) => *is_headline |= row.is_headline,
                None => metrics.push((row.metric.as_str(), row.is_headline)),
            }
            let layers = gathered.cells.entry((panel, encoder, row.metric.as_str())).or_default();
            let shares = layers.entry(LayerOrder::of(&row.layer)).or_default();
            let cell = shares.entry(row.label_fraction.to_bits()).or_default();
            // The table is appended to: what was measured last counts.
            match row.seed {
                None => cell.means.insert(row.draw, row),
                Some(seed) => cell.trainings.insert((row.draw, seed), row),
            };
        }
        gathered
    }

    fn panels(&mut self) -> Vec<Panel> {
        (0..self.keys.len()).filter_map(|panel| self.panel(panel)).collect()
    }

    fn panel(&self, index: usize) -> Option<Panel> {
        let metrics = &self.metrics[index];
        let metric = metrics.iter().find(|(_, is_headline)| *is_headline).or(metrics.first())?.0;
        let less_is_better = less_is_better(metric);
        let row = self.first_rows[index];
        let mut series = Vec::new();
        let mut label_curves = Vec::new();
        for encoder in 0..self.encoders.len() {
            let Some(layers) = self.cells.get(&(index, encoder, metric)) else { continue };
            let points: Vec<Point> =
                layers.iter().filter_map(|(layer, shares)| Point::of(*layer, shares.last_key_value()?.1)).collect();
            let Some((best, is_chosen_by_validation)) = best(&points, less_is_better) else { continue };
            let others = metrics.iter().filter(|(other, _)| *other != metric).filter_map(|&(other, _)| {
                let layers = self.cells.get(&(index, encoder, other))?;
                let layer = LayerOrder::of(&points[best].layer);
                let point = Point::of(layer, layers.get(&layer)?.last_key_value()?.1)?;
                Some(OtherScore { metric: other.to_owned(), point })
            });
            let others = others.collect();
            label_curves.extend(LabelCurve::of(encoder, layers, &points[best].layer));
            series.push(Series { encoder, points, best, is_chosen_by_validation, others });
        }
        Some(Panel {
            title: self.title(index),
            task: row.task.clone(),
            dataset: row.dataset.clone(),
            dataset_sha256: row.dataset_sha256.clone(),
            protocol: row.protocol.clone(),
            head: row.head.clone(),
            metric: metric.to_owned(),
            unit: unit_of(metric),
            less_is_better,
            num_recordings: (row.num_train, row.num_validation, row.num_test),
            series,
            label_curves,
        })
    }

    /// The task, with what differs from another panel of the same task.
    fn title(&self, index: usize) -> String {
        let (task, data, protocol, head) = self.keys[index];
        let others: Vec<_> = self.keys.iter().filter(|key| key.0 == task).collect();
        let mut title = task.to_owned();
        if others.iter().any(|key| key.3 != head) {
            title = format!("{title} \u{b7} {head}");
        }
        if others.iter().any(|key| key.2 != protocol) {
            title = format!("{title} \u{b7} {protocol}");
        }
        if others.iter().any(|key| key.1 != data) {
            title = format!("{title} \u{b7} data {}", short_hash(data));
        }
        title
    }
}

/// The first eight characters of a hash.
pub(super) fn short_hash(hash: &str) -> String {
    hash.chars().take(8).collect()
}

impl Point {
    fn of(layer: LayerOrder<'_>, cell: &Cell<'_>) -> Option<Self> {
        let rows: Vec<&ResultRow> = if cell.means.is_empty() {
            cell.trainings.values().copied().collect()
        } else {
            cell.means.values().copied().collect()
        };
        let mean = |value: fn(&ResultRow) -> Option<f64>| -> Option<f64> {
            let values = rows.iter().map(|row| value(row)).collect::<Option<Vec<f64>>>()?;
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let interval = match rows.as_slice() {
            [row] => row.low.zip(row.high),
            _ => None,
        };
        let seeds: BTreeSet<u64> = cell.trainings.keys().map(|(_, seed)| *seed).collect();
        Some(Self {
            layer: layer.text().to_owned(),
            number: layer.number(),
            value: mean(|row| Some(row.value))?,
            interval,
            validation: mean(|row| row.validation),
            num_seeds: seeds.len(),
        })
    }
}

/// The best single layer: by validation where all of them have it, else by the test split.
fn best(points: &[Point], less_is_better: bool) -> Option<(usize, bool)> {
    let mut candidates: Vec<usize> = (0..points.len()).filter(|&index| points[index].number.is_some()).collect();
    if candidates.is_empty() {
        candidates = (0..points.len()).collect();
    }
    let is_chosen_by_validation = candidates.iter().all(|&index| points[index].validation.is_some());
    let score = |index: usize| {
        let point = &points[index];
        let score = if is_chosen_by_validation { point.validation.unwrap_or(point.value) } else { point.value };
        if less_is_better { -score } else { score }
    };
    let best = candidates.into_iter().reduce(|best, index| if score(index) > score(best) { index } else { best })?;
    Some((best, is_chosen_by_validation))
}

impl LabelCurve {
    /// The curve of the best layer, or of the layer that has the most shares; `None` where no layer has two.
    fn of(encoder: usize, layers: &Layers<'_>, best: &str) -> Option<Self> {
        let chosen = layers.get(&LayerOrder::of(best)).filter(|shares| shares.len() > 1);
        let (layer, shares) = match chosen {
            Some(shares) => (best.to_owned(), shares),
            None => {
                let (layer, shares) =
                    layers.iter().max_by_key(|(layer, shares)| (shares.len(), std::cmp::Reverse(**layer)))?;
                (layer.text().to_owned(), shares)
            }
        };
        if shares.len() < 2 {
            return None;
        }
        let points = shares.iter().map(|(bits, cell)| {
            let mut of_draws: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
            if cell.means.is_empty() {
                for ((draw, _), row) in &cell.trainings {
                    of_draws.entry(*draw).or_default().push(row.value);
                }
            } else {
                of_draws.extend(cell.means.iter().map(|(draw, row)| (*draw, vec![row.value])));
            }
            let means: Vec<f64> =
                of_draws.values().map(|values| values.iter().sum::<f64>() / values.len() as f64).collect();
            LabelPoint {
                fraction: f64::from_bits(*bits),
                value: means.iter().sum::<f64>() / means.len() as f64,
                low: means.iter().copied().fold(f64::INFINITY, f64::min),
                high: means.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                num_draws: means.len(),
            }
        });
        Some(Self { encoder, layer, points: points.collect() })
    }
}

fn mixtures(weights: &[LayerWeights]) -> Vec<LearnedMixture> {
    let mut mixtures: Vec<(LearnedMixture, Runs<'_>)> = Vec::new();
    for weight in weights {
        let place = mixtures.iter().position(|(mixture, _)| {
            (&mixture.task, &mixture.encoder, &mixture.layers) == (&weight.task, &weight.encoder, &weight.layers)
        });
        let place = place.unwrap_or_else(|| {
            let mixture = LearnedMixture {
                task: weight.task.clone(),
                encoder: weight.encoder.clone(),
                layers: weight.layers.clone(),
                weights: Vec::new(),
                num_runs: 0,
            };
            mixtures.push((mixture, BTreeMap::new()));
            mixtures.len() - 1
        });
        mixtures[place].1.insert((&weight.run, weight.seed), weight);
    }
    let mean = |(mut mixture, runs): (LearnedMixture, Runs<'_>)| {
        let sum = |layer: usize| runs.values().map(|weights| weights.weights[layer]).sum::<f64>();
        mixture.num_runs = runs.len();
        mixture.weights = (0..mixture.layers.len()).map(|layer| sum(layer) / runs.len() as f64).collect();
        mixture
    };
    mixtures.into_iter().map(mean).collect()
}

impl Provenance {
    fn of(rows: &[ResultRow]) -> Self {
        let mut provenance = Self { num_rows: rows.len(), ..Self::default() };
        for row in rows {
            push_new(&mut provenance.datasets, (row.dataset.clone(), row.dataset_sha256.clone()));
            push_new(&mut provenance.protocols, row.protocol.clone());
            push_new(&mut provenance.heads, row.head.clone());
            push_new(&mut provenance.versions, row.program_version.clone());
        }
        let seeds: BTreeSet<u64> = rows.iter().filter_map(|row| row.seed).collect();
        provenance.seeds = seeds.into_iter().collect();
        let times = || rows.iter().map(|row| &row.time);
        provenance.times = times().min().zip(times().max()).map(|(first, last)| (first.clone(), last.clone()));
        provenance
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
