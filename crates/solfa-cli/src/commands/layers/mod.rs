//! `solfa layers`.

mod track;

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use solfa_eval::cache::{CacheDtype, CacheKey, CachedTrack, FeatureCache, Kept};
use solfa_eval::similarity::{ComparisonSettings, EncoderLayers, LayerComparison, Matrix, Measure};

use crate::arguments::LayersArguments;
use crate::encoding::{Encoding, cache_folder};
use crate::inputs::Inputs;
use crate::terminal::{self, Outcome, UsageError};

/// Clips that recordings are encoded in.
const CLIP_SECONDS: f64 = 30.0;

/// What one encoder makes of all items: a vector for each, layer by layer.
struct EncoderItems {
    encoder: String,
    space_id: String,
    layers: Vec<usize>,
    dims: Vec<usize>,
    /// `[items, dim]` for each layer.
    values: Vec<Vec<f32>>,
}

/// One comparison, for machines.
#[derive(Serialize)]
struct ComparisonLine<'run> {
    encoder_a: &'run str,
    encoder_b: &'run str,
    measure: &'static str,
    items: u64,
    item_kind: &'run str,
    layers_a: &'run [usize],
    layers_b: &'run [usize],
    values: &'run [Vec<f64>],
    effective_ranks_a: &'run [f64],
    effective_ranks_b: &'run [f64],
    file: String,
}

pub(crate) fn run(arguments: &LayersArguments) -> anyhow::Result<Outcome> {
    let Inputs { recordings, failed } = Inputs::collect(&arguments.inputs, io::stdin().lock());
    for failed in &failed {
        terminal::note(&format!("{}: {}", failed.path, terminal::describe(&failed.error)));
    }
    let recordings: Vec<PathBuf> = recordings.into_iter().map(|recording| recording.path).collect();
    if recordings.is_empty() && !arguments.inputs.is_empty() {
        return Err(UsageError("there is no recording among the inputs".to_owned()).into());
    }
    if arguments.frames.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
        return Err(UsageError("--frames: expected a rate above 0".to_owned()).into());
    }
    let encodings = arguments
        .models
        .iter()
        .map(|model| Encoding::open(arguments.encoding, model))
        .collect::<Result<Vec<_>, _>>()?;
    let mut is_whole = failed.is_empty();
    if !recordings.is_empty() {
        is_whole &= compare(arguments, &recordings, &encodings)?;
    }
    for recording in &arguments.tracks {
        let resampler = arguments.encoding.resampler;
        let view = track::view(recording, arguments.start, &arguments.labels, &encodings, resampler)?;
        let path = view.write(&arguments.output)?;
        terminal::note(&format!("{} as its layers see it is in {}", recording.display(), path.display()));
    }
    Ok(if is_whole { Outcome::Done } else { Outcome::SomeFailed })
}

/// Compares all layers of all pairs of encoders. Gives whether all recordings could be encoded.
fn compare(arguments: &LayersArguments, recordings: &[PathBuf], encodings: &[Encoding]) -> anyhow::Result<bool> {
    let cache = FeatureCache::new(cache_folder(arguments.cache.as_deref())?);
    let kept = match arguments.frames {
        Some(maximum_per_second) => Kept::Frames { maximum_per_second },
        None => Kept::ClipMeans { clip_seconds: CLIP_SECONDS, minimum_share: 0.0 },
    };
    let mut entries: Vec<(&Encoding, CacheKey, Vec<Option<CachedTrack>>)> = Vec::new();
    for encoding in encodings {
        let key = CacheKey { space: encoding.space(CLIP_SECONDS)?, kept, dtype: CacheDtype::F32 };
        let encoded = encoding.fill(&cache, std::slice::from_ref(&key), recordings, CLIP_SECONDS)?;
        let tracks = encoded
            .audio
            .iter()
            .map(|audio| audio.as_deref().map_or(Ok(None), |audio| cache.read(&key, audio)))
            .collect::<Result<Vec<_>, _>>()?;
        entries.push((encoding, key, tracks));
    }
    // Only what every encoder could take is compared.
    let usable: Vec<usize> =
        (0..recordings.len()).filter(|&index| entries.iter().all(|(.., tracks)| tracks[index].is_some())).collect();
    let items: Vec<EncoderItems> = entries
        .iter()
        .map(|(encoding, key, tracks)| {
            let tracks: Vec<&CachedTrack> = usable.iter().filter_map(|&index| tracks[index].as_ref()).collect();
            gather(encoding.name(), key, &tracks, arguments.frames)
        })
        .collect();
    let item_kind = if arguments.frames.is_some() { "frames" } else { "tracks" };
    let mut rows = Vec::new();
    for (index, first) in items.iter().enumerate() {
        // An encoder of one layer has nothing to be compared with in itself.
        let from = index + usize::from(first.layers.len() == 1);
        for second in &items[from..] {
            for &measure in &arguments.measures {
                let measure = Measure::from(measure);
                let (first_layers, second_layers) = (first.layers()?, second.layers()?);
                let comparison = LayerComparison::of(
                    &first_layers,
                    &second_layers,
                    &ComparisonSettings::new(measure),
                    item_kind,
                    None,
                );
                let comparison = match comparison {
                    Ok(comparison) => comparison,
                    Err(error) => {
                        let reason = format!("{} and {}, {}: {error}", first.encoder, second.encoder, measure.name());
                        return Err(anyhow::anyhow!(reason));
                    }
                };
                let path = comparison.write(&arguments.output)?;
                if arguments.json {
                    terminal::print_json(&ComparisonLine {
                        encoder_a: &comparison.encoder_a,
                        encoder_b: &comparison.encoder_b,
                        measure: measure.name(),
                        items: comparison.items,
                        item_kind,
                        layers_a: &comparison.layers_a,
                        layers_b: &comparison.layers_b,
                        values: &comparison.values,
                        effective_ranks_a: &comparison.effective_ranks_a,
                        effective_ranks_b: &comparison.effective_ranks_b,
                        file: path.display().to_string(),
                    })?;
                }
                rows.extend(table(&comparison));
            }
        }
    }
    if !arguments.json {
        terminal::print_table(
            &["encoders", "measure", "layer", "most alike", "how much", "rank"],
            &rows,
            &[2, 3, 4, 5],
        )?;
        terminal::note(&format!(
            "{} {item_kind} compared; all values are in {}",
            items.first().map_or(0, EncoderItems::num_items),
            arguments.output.join("similarity").display()
        ));
    }
    Ok(usable.len() == recordings.len())
}

impl EncoderItems {
    fn num_items(&self) -> usize {
        self.values.first().map_or(0, |values| values.len() / self.dims[0].max(1))
    }

    fn layers(&self) -> anyhow::Result<EncoderLayers<'_>> {
        let features = self.values.iter().zip(&self.dims);
        let features = features.map(|(values, &dim)| Matrix::new(values, values.len() / dim.max(1), dim));
        Ok(EncoderLayers {
            encoder: self.encoder.clone(),
            space_ids: vec![self.space_id.clone()],
            layers: self.layers.clone(),
            features: features.collect::<Result<_, _>>()?,
        })
    }
}

/// The items of all tracks: a mean for each, or so many frames a second, each the nearest one in time, so that encoders of
/// different rates have the same moments.
fn gather(encoder: &str, key: &CacheKey, tracks: &[&CachedTrack], rate: Option<f64>) -> EncoderItems {
    let layers = key.space.layers.clone();
    let dims = key.space.layer_dims.clone();
    let of_layer = |(&number, &dim): (&usize, &usize)| {
        let mut values = Vec::new();
        for track in tracks {
            let (Some(layer), Some(found)) = (track.layer(number), track.values(number)) else { continue };
            match rate {
                None => {
                    let count = layer.num_items.max(1) as f64;
                    let mean =
                        |dimension| found.iter().skip(dimension).step_by(dim).map(|&v| f64::from(v)).sum::<f64>();
                    values.extend((0..dim).map(|dimension| (mean(dimension) / count) as f32));
                }
                Some(rate) => {
                    let last = layer.num_items.saturating_sub(1);
                    for moment in 0..(track.seconds() * rate) as usize {
                        let seconds = (moment as f64 + 0.5) / rate;
                        let item = ((seconds * layer.items_per_second) as usize).min(last);
                        values.extend_from_slice(&found[item * dim..(item + 1) * dim]);
                    }
                }
            }
        }
        values
    };
    let values = layers.iter().zip(&dims).map(of_layer).collect();
    EncoderItems { encoder: encoder.to_owned(), space_id: key.space.space_id(), layers, dims, values }
}

/// For each layer of the first encoder, the layer that is most like it, other than itself.
fn table(comparison: &LayerComparison) -> Vec<Vec<String>> {
    let is_same = comparison.encoder_a == comparison.encoder_b;
    let encoders = if is_same {
        comparison.encoder_a.clone()
    } else {
        format!("{} and {}", comparison.encoder_a, comparison.encoder_b)
    };
    let mut rows = Vec::new();
    for ((layer, values), rank) in comparison.layers_a.iter().zip(&comparison.values).zip(&comparison.effective_ranks_a)
    {
        let others = comparison.layers_b.iter().zip(values).filter(|(other, _)| !is_same || *other != layer);
        let (other, value) = match others.max_by(|a, b| a.1.total_cmp(b.1)) {
            Some((other, value)) => (other.to_string(), format!("{value:.3}")),
            None => (String::new(), String::new()),
        };
        let first = |text: &str| if rows.is_empty() { text.to_owned() } else { String::new() };
        rows.push(vec![
            first(&encoders),
            first(comparison.measure.name()),
            layer.to_string(),
            other,
            value,
            format!("{rank:.1}"),
        ]);
    }
    rows
}
