//! One track from inside: what its layers make of 30 seconds of it, beside what is known of them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;
use solfa_eval::dataset::DataSet;
use solfa_eval::similarity::salience::{PeakPicking, SalienceSettings, salience};
use solfa_eval::similarity::{
    Centring, Envelope, LabelTrack, Matrix, QuantizedMatrix, SalienceSummary, SelfSimilarity, TRACK_VIEW_SCHEMA,
    TimedLabel, TrackEncoder, TrackLayer, TrackView, attention_received, attention_received_per_head,
    pooled_attention_maps,
};
use solfa_signal::audio::{MonoSource, Resampler, Waveform, WaveformSource};
use solfa_signal::encoder::{AttentionMaps, LayerChoice};
use solfa_signal::extract::open_recording;
use solfa_signal::windows::WindowStream;

use crate::encoding::Encoding;
use crate::terminal::{self, UsageError};

/// What is shown of a track, in seconds: what one window holds.
const SHOWN_SECONDS: f64 = 30.0;

/// Moments of a self-similarity matrix.
const BLOCKS: usize = 96;

/// Moments of an attention map.
const MAP_MOMENTS: usize = 64;

/// Stretches of the waveform's outline.
const STRETCHES: usize = 600;

/// A track from `start` seconds on, as its layers see it.
pub(super) fn view(
    recording: &Path,
    start: f64,
    labels: &[PathBuf],
    encodings: &[Encoding],
    resampler: Resampler,
) -> anyhow::Result<TrackView> {
    let labels = from(start, find_labels(recording, labels)?);
    let mut encoders = Vec::new();
    let mut outline = None;
    for encoding in encodings {
        let waveform = window(recording, start, encoding, resampler)?;
        let seconds = waveform.seconds();
        encoders.push(encoder_view(encoding, &waveform, &labels)?);
        if outline.is_none() {
            outline = Some((Envelope::of(waveform.samples(), STRETCHES), seconds));
        }
    }
    let (envelope, seconds) = outline.context("no encoder was given")?;
    let mut shown = labels;
    for track in &mut shown {
        track.labels.retain(|label| label.start < seconds);
        track.labels.iter_mut().for_each(|label| label.end = label.end.map(|end| end.min(seconds)));
    }
    let mut title = recording.file_stem().unwrap_or(recording.as_os_str()).to_string_lossy().into_owned();
    if start > 0.0 {
        title += &format!(", from {start} s");
    }
    Ok(TrackView { schema: TRACK_VIEW_SCHEMA, title, seconds, envelope, labels: shown, encoders })
}

/// Labels with times from `start` on. Of a stretch that began before, the rest is kept.
fn from(start: f64, mut tracks: Vec<LabelTrack>) -> Vec<LabelTrack> {
    for track in &mut tracks {
        track.labels.retain(|label| label.end.unwrap_or(label.start) >= start);
        for label in &mut track.labels {
            label.start = (label.start - start).max(0.0);
            label.end = label.end.map(|end| end - start);
        }
    }
    tracks
}

/// What an encoder hears from `start` seconds on.
fn window(recording: &Path, start: f64, encoding: &Encoding, resampler: Resampler) -> anyhow::Result<Waveform> {
    let spec = encoding.encoder().spec();
    let mut source = open_recording(recording, spec, resampler)?;
    let first = (start * f64::from(spec.sample_rate)).round() as usize;
    let wanted = first + (SHOWN_SECONDS * f64::from(spec.sample_rate)).round() as usize;
    let mut samples = Vec::new();
    while samples.len() < wanted {
        let Some(block) = source.next_block()? else { break };
        samples.extend_from_slice(block.samples());
    }
    if first >= samples.len() {
        let seconds = samples.len() as f64 / f64::from(spec.sample_rate);
        let path = recording.display();
        return Err(UsageError(format!("--start {start}: {path} is {seconds:.1} s long")).into());
    }
    samples.truncate(wanted);
    let waveform = Waveform::new(samples.split_off(first), spec.sample_rate);
    let window = WindowStream::new(WaveformSource::new(waveform), encoding.plan(SHOWN_SECONDS)?).next();
    let window = window.with_context(|| format!("{}: the recording has no window", recording.display()))?;
    Ok(window?.waveform)
}

fn encoder_view(encoding: &Encoding, waveform: &Waveform, labels: &[LabelTrack]) -> anyhow::Result<TrackEncoder> {
    let encoder = encoding.encoder();
    let spec = encoder.spec();
    let batch = encoder.encode(std::slice::from_ref(waveform), &LayerChoice::All)?;
    let mut layers = Vec::with_capacity(batch.layers.len());
    for layer in &batch.layers {
        let frames = &layer.clips[0];
        let matrix = Matrix::new(frames.data(), frames.num_frames(), frames.dim())?;
        let similarity = SelfSimilarity::of(matrix, BLOCKS, Centring::Mean)?;
        layers.push(TrackLayer {
            layer: layer.layer,
            self_similarity: Some(QuantizedMatrix::try_from(&similarity)?),
            attention: None,
            attention_maps: Vec::new(),
            salience: Vec::new(),
        });
    }
    if spec.attention_heads.is_some() {
        let class_tokens = usize::from(spec.has_class_token);
        let mut failure = None;
        encoder.attention_maps(waveform, &LayerChoice::All, &mut |maps| {
            let rate = spec.frames_per_second(maps.layer);
            match attention_view(&maps, class_tokens, rate, waveform.seconds(), labels) {
                Ok(seen) => {
                    if let Some(layer) = layers.iter_mut().find(|layer| layer.layer == maps.layer) {
                        (layer.attention, layer.attention_maps) = (Some(seen.received), seen.maps);
                        layer.salience = seen.salience;
                    }
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
    }
    let space_id = encoding.space(SHOWN_SECONDS)?.space_id();
    Ok(TrackEncoder { encoder: encoding.name().to_owned(), space_id, layers })
}

/// What is seen of a layer's attention.
struct AttentionView {
    /// What each frame receives from each head.
    received: QuantizedMatrix,
    /// The map of each head.
    maps: Vec<QuantizedMatrix>,
    /// How well peaks of what is received mark events.
    salience: Vec<SalienceSummary>,
}

fn attention_view(
    maps: &AttentionMaps,
    class_tokens: usize,
    rate: f64,
    seconds: f64,
    labels: &[LabelTrack],
) -> anyhow::Result<AttentionView> {
    let tokens = maps.num_tokens;
    let frames = tokens - class_tokens;
    // The class token is no moment of the track: its row and column are left out.
    let rows = maps.weights.chunks_exact(tokens).enumerate().filter(|(row, _)| row % tokens >= class_tokens);
    let weights: Vec<f32> = rows.flat_map(|(_, row)| &row[class_tokens..]).copied().collect();
    let per_head = attention_received_per_head(&weights, maps.num_heads, frames, frames)?;
    let values: Vec<f32> = per_head.iter().flatten().map(|&value| value as f32).collect();
    let attention = QuantizedMatrix::new(&values, maps.num_heads, frames)?;
    let moments = MAP_MOMENTS.min(frames);
    let pooled = pooled_attention_maps(&weights, maps.num_heads, frames, moments)?;
    let pooled = pooled.iter().map(|head| QuantizedMatrix::new(head, moments, moments));
    let received = attention_received(&weights, maps.num_heads, frames, frames)?;
    let peaks: Vec<f64> = PeakPicking::default()
        .pick(&received, rate)
        .into_iter()
        .map(|frame| ((frame as f64 + 0.5) / rate).min(seconds))
        .collect();
    let mut scores = Vec::new();
    for (track, events) in [("onsets", "onsets"), ("chords", "chord changes")] {
        let Some(found) = labels.iter().find(|labels| labels.name == track) else { continue };
        // A chord at the very start is no change.
        let first = usize::from(track == "chords");
        let times: Vec<f64> =
            found.labels.iter().skip(first).map(|label| label.start).filter(|&time| time <= seconds).collect();
        // Half a frame is as near as a frame can say.
        let tolerance_seconds = (0.5 / rate).max(SalienceSettings::default().tolerance_seconds);
        let settings = SalienceSettings { tolerance_seconds, ..SalienceSettings::default() };
        scores.push(SalienceSummary {
            events: events.to_owned(),
            salience: salience(&peaks, &times, seconds, &settings)?,
        });
    }
    Ok(AttentionView { received: attention, maps: pooled.collect::<Result<_, _>>()?, salience: scores })
}

/// What data sets say of a recording: beats, downbeats, onsets, chords, sections.
fn find_labels(recording: &Path, data_sets: &[PathBuf]) -> anyhow::Result<Vec<LabelTrack>> {
    let recording = fs_err::canonicalize(recording)?;
    let mut tracks: Vec<LabelTrack> = Vec::new();
    for path in data_sets {
        let data_set = DataSet::read_lines(path)?;
        let is_same = |index: &usize| {
            let found = data_set.find_audio(*index, &data_set.records()[*index].audio_path, None);
            found.and_then(|found| found.canonicalize().ok()).is_some_and(|found| found == recording)
        };
        match (0..data_set.records().len()).find(is_same) {
            Some(index) => tracks.extend(of_label(&data_set.records()[index].label)),
            None => terminal::note(&format!("{}: says nothing of {}", path.display(), recording.display())),
        }
    }
    Ok(tracks)
}

/// The tracks of labels that one label holds.
fn of_label(label: &Value) -> Vec<LabelTrack> {
    let event = |time: &Value| Some(TimedLabel { start: time.as_f64()?, end: None, text: String::new() });
    let mut tracks = Vec::new();
    for (field, name) in [("beat", "beats"), ("downbeat", "downbeats"), ("onset", "onsets")] {
        if let Some(times) = label.get(field).and_then(Value::as_array) {
            let labels = times.iter().filter_map(event).collect();
            tracks.push(LabelTrack { name: name.to_owned(), labels });
        }
    }
    for (field, name) in [("chord_str", "chords"), ("label", "segments")] {
        let stretch = |part: &Value| {
            let seconds = |field: &str| part.get(field).and_then(Value::as_f64);
            let text = part.get(field)?.as_str()?.to_owned();
            Some(TimedLabel { start: seconds("start_time")?, end: seconds("end_time"), text })
        };
        let labels: Vec<TimedLabel> = label.as_array().into_iter().flatten().filter_map(stretch).collect();
        if !labels.is_empty() {
            tracks.push(LabelTrack { name: name.to_owned(), labels });
        }
    }
    tracks
}
