use std::io;

use proptest::prelude::*;

use super::*;
use crate::audio::{Waveform, WaveformSource};
use crate::encoder::{EncodeError, EncoderSpec, LayerBatch, LayerFrames, LayerSpec, check_clips};
use crate::frames::Frames;
use crate::testing::{check_encoder, musical_signal};
use crate::windows::{Tail, WindowLength};

/// How many frames a clip of `samples` gives.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Count {
    Floor,
    Ceil,
    /// One more than fit, as features with centred frames give.
    Centred,
    /// One less than fit, and the encoder's specification does not say so.
    OneLess,
    /// None for the last five samples, as a network gives that pads nowhere.
    Edge,
}

/// Samples at the end of a clip that have no frame with [`Count::Edge`].
const EDGE_SAMPLES: usize = 5;

impl Count {
    fn frames(self, samples: usize, hop: usize) -> usize {
        match self {
            Self::Floor => samples / hop,
            Self::Ceil => samples.div_ceil(hop),
            Self::Centred => samples / hop + 1,
            Self::OneLess => (samples / hop).saturating_sub(1),
            Self::Edge => samples.saturating_sub(EDGE_SAMPLES) / hop,
        }
    }
}

/// Three layers with frames of 4, 6 and 12 samples, so a grid of 12, at 1,000 Hz. Each frame holds the sample at its
/// position, and a weighted sum of the samples around it, with what lies outside the clip mirrored into it.
struct Toy {
    spec: EncoderSpec,
    count: Count,
    context: usize,
}

impl Toy {
    fn new(count: Count, context: usize) -> Self {
        let layer = |hop_samples| LayerSpec { name: format!("every {hop_samples}"), dim: 2, hop_samples };
        let spec = EncoderSpec {
            name: "toy".into(),
            identity: format!("toy {count:?} {context}"),
            weights_sha256: None,
            sample_rate: 1_000,
            layers: vec![layer(4), layer(6), layer(12)],
            minimum_samples: if count == Count::Edge { 12 + EDGE_SAMPLES } else { 12 },
            maximum_samples: None,
            clip_samples: None,
            edge_samples: if count == Count::Edge { EDGE_SAMPLES } else { 0 },
            has_class_token: false,
            normalizes_peak: false,
            attention_heads: None,
            context_samples: Some(context),
            default_window_seconds: 0.24,
            default_tail: Tail::Overlap,
        };
        Self { spec, count, context }
    }

    fn frame(&self, samples: &[f32], position: usize) -> [f32; 2] {
        let last = samples.len() as i64 - 1;
        let mirrored = |index: i64| {
            let index = index.abs();
            samples[if index > last { (2 * last - index).max(0) } else { index } as usize]
        };
        let sum = (0..=2 * self.context)
            .map(|offset| (offset + 1) as f32 * mirrored((position + offset) as i64 - self.context as i64));
        // A frame that starts right after the last sample continues the count.
        let sample = samples.get(position).copied().unwrap_or_else(|| samples[last as usize] + 1.0);
        [sample, sum.sum()]
    }
}

impl Encoder for Toy {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError> {
        check_clips(&self.spec, clips)?;
        let layers = layers.resolve(self.spec.layers.len())?.into_iter().map(|layer| {
            let hop = self.spec.layers[layer].hop_samples;
            let encode = |clip: &Waveform| {
                let num_frames = self.count.frames(clip.num_samples(), hop);
                let data = (0..num_frames).flat_map(|frame| self.frame(clip.samples(), frame * hop)).collect();
                Frames::new(data, num_frames, 2, self.spec.frames_per_second(layer))
            };
            LayerFrames { layer, clips: clips.iter().map(encode).collect(), class_tokens: Vec::new() }
        });
        Ok(LayerBatch { layers: layers.collect() })
    }
}

/// Each sample tells its own position.
fn ramp(num_samples: usize) -> Waveform {
    Waveform::new((0..num_samples).map(|index| index as f32).collect(), 1_000)
}

fn stitched(toy: &Toy, waveform: &Waveform, plan: &WindowPlan) -> Result<Vec<Frames>, ExtractError> {
    let layers = extract(WaveformSource::new(waveform.clone()), toy, plan, &LayerChoice::All, Pooling::None)?;
    let frames = layers.into_iter().map(|layer| match layer.content {
        ExtractedContent::Frames(frames) => {
            assert_eq!(layer.num_frames, frames.num_frames() as u64);
            frames
        }
        ExtractedContent::Pooled(_) => panic!("pooled without being asked"),
    });
    Ok(frames.collect())
}

fn whole(toy: &Toy, waveform: &Waveform) -> Vec<Frames> {
    let batch = toy.encode(std::slice::from_ref(waveform), &LayerChoice::All).unwrap();
    batch.layers.into_iter().map(|mut layer| layer.clips.remove(0)).collect()
}

#[test]
fn the_toy_is_an_encoder() {
    for count in [Count::Floor, Count::Ceil, Count::Centred, Count::Edge] {
        check_encoder(&Toy::new(count, 5), 500);
    }
}

proptest! {
    #[test]
    fn there_is_no_gap_and_no_double(
        num_samples in 12usize..1_500,
        window_steps in 1usize..20,
        hop_steps in 1usize..20,
        tail in prop::sample::select(Tail::ALL.to_vec()),
        count in prop::sample::select(vec![Count::Floor, Count::Ceil, Count::Centred]),
    ) {
        let toy = Toy::new(count, 0);
        let seconds = |steps: usize| (steps * 12) as f64 / 1_000.0;
        let (window_samples, hop_samples) = (window_steps * 12, hop_steps.min(window_steps) * 12);
        let hop_seconds = Some(seconds(hop_steps.min(window_steps)));
        let plan = WindowPlan::new(&toy.spec, WindowLength::Seconds(seconds(window_steps)), hop_seconds, tail).unwrap();
        prop_assert_eq!((plan.window_samples(), plan.hop_samples()), (Some(window_samples), Some(hop_samples)));

        let is_short = num_samples < window_samples;
        let result = stitched(&toy, &ramp(num_samples), &plan);
        if tail == Tail::Drop && is_short {
            let is_no_frames = matches!(result, Err(ExtractError::NoFrames { .. }));
            prop_assert!(is_no_frames);
            return Ok(());
        }
        let after_last_full = if is_short { 0 } else { window_samples + (num_samples - window_samples) / hop_samples * hop_samples };
        for (layer, frames) in toy.spec.layers.iter().zip(result.unwrap()) {
            let hop = layer.hop_samples;
            for frame in 0..frames.num_frames() {
                prop_assert_eq!(frames.frame(frame)[0], (frame * hop) as f32, "frame {} of {}", frame, layer.name);
            }
            let expected = match tail {
                Tail::Overlap => count.frames(num_samples, hop),
                Tail::Drop => count.frames(after_last_full, hop),
                Tail::Pad | Tail::Wrap if after_last_full == num_samples => count.frames(num_samples, hop),
                Tail::Pad | Tail::Wrap => num_samples.div_ceil(hop),
            };
            prop_assert_eq!(frames.num_frames(), expected, "{}", layer.name);
        }
    }

    #[test]
    fn frames_that_a_window_lacks_at_its_end_come_from_the_next(
        num_samples in 17usize..1_500,
        window_steps in 4usize..20,
        hop_steps in 1usize..20,
    ) {
        let toy = Toy::new(Count::Edge, 0);
        let seconds = |steps: usize| (steps * 12) as f64 / 1_000.0;
        // Two frames of 12 samples overlap.
        let hops = [None, Some(seconds(hop_steps.min(window_steps - 2)))];
        for hop_seconds in hops {
            let window = WindowLength::Seconds(seconds(window_steps));
            let plan = WindowPlan::new(&toy.spec, window, hop_seconds, Tail::Overlap).unwrap();
            for (layer, frames) in toy.spec.layers.iter().zip(stitched(&toy, &ramp(num_samples), &plan).unwrap()) {
                let hop = layer.hop_samples;
                prop_assert_eq!(frames.num_frames(), (num_samples - EDGE_SAMPLES) / hop, "{}", layer.name);
                for frame in 0..frames.num_frames() {
                    prop_assert_eq!(frames.frame(frame)[0], (frame * hop) as f32, "frame {} of {}", frame, layer.name);
                }
            }
        }
    }

    #[test]
    fn with_a_finite_context_stitching_gives_the_bits_of_the_whole(
        num_samples in 12usize..1_500,
        window_steps in 10usize..20,
        context in 0usize..50,
        count in prop::sample::select(vec![Count::Floor, Count::Ceil, Count::Centred]),
    ) {
        let toy = Toy::new(count, context);
        let window = WindowLength::Seconds((window_steps * 12) as f64 / 1_000.0);
        let plan = WindowPlan::new(&toy.spec, window, None, Tail::Overlap).unwrap();
        let waveform = musical_signal(num_samples, 1_000, 3);
        prop_assert!(stitched(&toy, &waveform, &plan).unwrap() == whole(&toy, &waveform));
    }

    #[test]
    fn a_whole_window_is_the_encoder_alone(num_samples in 12usize..1_500, tail in prop::sample::select(Tail::ALL.to_vec())) {
        let toy = Toy::new(Count::Centred, 7);
        let plan = WindowPlan::new(&toy.spec, WindowLength::Whole, None, tail).unwrap();
        let waveform = musical_signal(num_samples, 1_000, 4);
        prop_assert!(stitched(&toy, &waveform, &plan).unwrap() == whole(&toy, &waveform));
    }
}

#[test]
fn too_small_an_overlap_is_seen_by_the_comparison_with_the_whole() {
    let toy = Toy::new(Count::Floor, 30);
    let waveform = musical_signal(1_000, 1_000, 3);
    let plan = WindowPlan::new(&toy.spec, WindowLength::Seconds(0.24), Some(0.24 - 0.048), Tail::Overlap).unwrap();
    assert!(stitched(&toy, &waveform, &plan).unwrap() != whole(&toy, &waveform));
}

#[test]
fn hand_worked_cuts() {
    // Windows of 48 every 24 samples; 100 samples: starts 0, 24, 48 and 60, cuts at 36, 60 and 78.
    let toy = Toy::new(Count::Floor, 0);
    let plan = WindowPlan::new(&toy.spec, WindowLength::Seconds(0.048), Some(0.024), Tail::Overlap).unwrap();
    struct Pieces(Vec<(usize, Vec<f32>)>);
    impl FrameSink for Pieces {
        fn push(&mut self, layer: usize, frames: &[f32]) -> io::Result<()> {
            self.0.push((layer, frames.chunks(2).map(|frame| frame[0]).collect()));
            Ok(())
        }
    }
    let mut pieces = Pieces(Vec::new());
    let layers = LayerChoice::Numbers(vec![1, 2]);
    let mut stitcher = Stitcher::new(&toy.spec, &plan, &layers).unwrap();
    for window in WindowStream::new(WaveformSource::new(ramp(100)), plan.clone()) {
        let window = window.unwrap();
        let batch = toy.encode(&[ramp(100), window.waveform], &layers).unwrap();
        stitcher.push(&window.position, &batch, 1, &mut pieces).unwrap();
    }
    let of = |layer| pieces.0.iter().filter(|piece| piece.0 == layer).map(|piece| &piece.1[..]).collect::<Vec<_>>();
    // Frames of 6 samples: overlaps of 4, 4 and 6 frames.
    let expected: [&[f32]; 4] =
        [&[0.0, 6.0, 12.0, 18.0, 24.0, 30.0], &[36.0, 42.0, 48.0, 54.0], &[60.0, 66.0, 72.0], &[78.0, 84.0, 90.0]];
    assert_eq!(of(1), expected);
    // Frames of 12 samples: overlaps of 2, 2 and 3 frames, the last cut at the later frame.
    let expected: [&[f32]; 4] = [&[0.0, 12.0, 24.0], &[36.0, 48.0], &[60.0, 72.0], &[84.0]];
    assert_eq!(of(2), expected);
    assert_eq!(stitcher.layers().iter().map(|layer| layer.num_frames).collect::<Vec<_>>(), [16, 8]);
}

#[test]
fn pooling_pools_the_stitched_frames() {
    let toy = Toy::new(Count::Floor, 0);
    let plan = WindowPlan::new(&toy.spec, WindowLength::Default, Some(0.1), Tail::Overlap).unwrap();
    let waveform = musical_signal(1_000, 1_000, 5);
    let whole = whole(&toy, &waveform);
    for pooling in [Pooling::Mean, Pooling::Max, Pooling::MeanStd] {
        let layers = extract(WaveformSource::new(waveform.clone()), &toy, &plan, &LayerChoice::Last, pooling).unwrap();
        let mut accumulator = crate::frames::PoolingAccumulator::new(pooling, 2);
        accumulator.push(whole[2].data());
        let content = ExtractedContent::Pooled(accumulator.finish().unwrap());
        assert_eq!(layers, [Extracted { layer: 2, num_frames: whole[2].num_frames() as u64, content }]);
    }
}

#[test]
fn an_encoder_that_gives_less_than_a_window_needs_overlap() {
    let toy = Toy::new(Count::OneLess, 0);
    let plan = |hop| WindowPlan::new(&toy.spec, WindowLength::Default, hop, Tail::Overlap).unwrap();
    let error = stitched(&toy, &ramp(1_000), &plan(None)).unwrap_err();
    assert!(matches!(error, ExtractError::FrameGap { layer: 0, expected: 60, actual: 59, .. }), "{error}");
    let frames = stitched(&toy, &ramp(1_000), &plan(Some(0.216))).unwrap();
    assert_eq!(frames.iter().map(Frames::num_frames).collect::<Vec<_>>(), [249, 165, 82]);
}

/// An encoder of whole clips of 100 samples: the vector is the first and the last sample, the class token their sum.
struct Clips {
    spec: EncoderSpec,
}

impl Clips {
    fn new() -> Self {
        let spec = EncoderSpec {
            layers: vec![LayerSpec { name: "clip".into(), dim: 2, hop_samples: 100 }],
            minimum_samples: 100,
            clip_samples: Some(100),
            has_class_token: true,
            normalizes_peak: false,
            context_samples: None,
            default_window_seconds: 0.1,
            default_tail: Tail::Wrap,
            ..Toy::new(Count::Floor, 0).spec
        };
        Self { spec }
    }
}

impl Encoder for Clips {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError> {
        layers.resolve(self.spec.layers.len())?;
        check_clips(&self.spec, clips)?;
        let ends = |clip: &Waveform| [clip.samples()[0], clip.samples()[99]];
        let frames = |clip: &Waveform| Frames::new(ends(clip).to_vec(), 1, 2, self.spec.frames_per_second(0));
        let class_token = |clip: &Waveform| vec![ends(clip).iter().sum(); 2];
        let (clips, class_tokens) = (clips.iter().map(frames).collect(), clips.iter().map(class_token).collect());
        Ok(LayerBatch { layers: vec![LayerFrames { layer: 0, clips, class_tokens }] })
    }
}

#[test]
fn every_whole_clip_gives_one_vector_and_one_class_token() {
    let encoder = Clips::new();
    check_encoder(&encoder, 100);
    let run = |num_samples, hop, tail, pooling| {
        let plan = WindowPlan::new(&encoder.spec, WindowLength::Default, hop, tail).unwrap();
        let source = WaveformSource::new(ramp(num_samples));
        extract(source, &encoder, &plan, &LayerChoice::All, pooling).unwrap().remove(0).content
    };
    let frames = |num_samples, hop, tail| match run(num_samples, hop, tail, Pooling::None) {
        ExtractedContent::Frames(frames) => (frames.frames_per_second(), frames.into_data()),
        ExtractedContent::Pooled(_) => panic!("pooled without being asked"),
    };
    assert_eq!(frames(230, None, Tail::Wrap), (10.0, vec![0.0, 99.0, 100.0, 199.0, 200.0, 69.0]));
    assert_eq!(frames(230, None, Tail::Overlap), (10.0, vec![0.0, 99.0, 100.0, 199.0, 130.0, 229.0]));
    assert_eq!(frames(230, Some(0.05), Tail::Drop).1, [0.0, 99.0, 50.0, 149.0, 100.0, 199.0]);
    assert_eq!(frames(230, Some(0.05), Tail::Drop).0, 20.0);
    assert_eq!(frames(30, None, Tail::Overlap).1, [0.0, 0.0]);
    assert_eq!(frames(30, None, Tail::Wrap).1, [0.0, 9.0]);
    let pooled = run(230, None, Tail::Wrap, Pooling::ClassTokenMean);
    let third = |sum: f32| sum / 3.0;
    let expected = vec![third(667.0), third(667.0), 100.0, third(367.0)];
    assert_eq!(pooled, ExtractedContent::Pooled(expected));
}

#[test]
fn recordings_that_give_no_frame_are_errors_that_say_why() {
    let toy = Toy::new(Count::Floor, 0);
    let message = |num_samples, tail| {
        let plan = WindowPlan::new(&toy.spec, WindowLength::Default, None, tail).unwrap();
        stitched(&toy, &ramp(num_samples), &plan).unwrap_err().to_string()
    };
    assert_eq!(
        message(100, Tail::Drop),
        "the recording is 0.100 s long and gives no frame: windows are 0.240 s, and the tail `drop` leaves out what does \
         not fill one"
    );
    assert_eq!(message(0, Tail::Overlap), "the recording is 0.000 s long and gives no frame");
    assert!(message(11, Tail::Overlap).contains("needs at least 12"));
}

#[test]
fn a_sink_that_fails_is_an_error() {
    struct Full;
    impl FrameSink for Full {
        fn push(&mut self, _: usize, _: &[f32]) -> io::Result<()> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
    }
    let toy = Toy::new(Count::Floor, 0);
    let plan = WindowPlan::new(&toy.spec, WindowLength::Whole, None, Tail::Overlap).unwrap();
    let window = WindowStream::new(WaveformSource::new(ramp(100)), plan.clone()).next().unwrap().unwrap();
    let batch = toy.encode(&[window.waveform], &LayerChoice::All).unwrap();
    let mut stitcher = Stitcher::new(&toy.spec, &plan, &LayerChoice::All).unwrap();
    let error = stitcher.push(&window.position, &batch, 0, &mut Full).unwrap_err();
    assert!(matches!(error, ExtractError::Sink(_)));
}

#[test]
#[should_panic(expected = "another order")]
fn windows_out_of_order_are_a_mistake_of_the_program() {
    let toy = Toy::new(Count::Floor, 0);
    let plan = WindowPlan::new(&toy.spec, WindowLength::Default, None, Tail::Overlap).unwrap();
    let window = WindowStream::new(WaveformSource::new(ramp(1_000)), plan.clone()).nth(1).unwrap().unwrap();
    let batch = toy.encode(&[window.waveform], &LayerChoice::All).unwrap();
    let mut stitcher = Stitcher::new(&toy.spec, &plan, &LayerChoice::All).unwrap();
    let mut collector = FrameCollector::new(stitcher.layers(), Pooling::None);
    let _ = stitcher.push(&window.position, &batch, 0, &mut collector);
}
