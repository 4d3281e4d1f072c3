//! Where windows start and end.

use crate::encoder::{EncoderSpec, Tail};

/// How long windows shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum WindowLength {
    /// The length that the encoder was trained on: [`EncoderSpec::default_window_seconds`].
    #[default]
    Default,
    /// This many seconds.
    Seconds(f64),
    /// The whole recording is one window, however long.
    Whole,
}

/// Why recordings cannot be cut as was asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WindowError {
    /// A length that is no length.
    #[error("a {what} of {seconds} s is impossible: give seconds above 0 and up to {MAXIMUM_SECONDS}")]
    Seconds {
        /// `window` or `hop`.
        what: &'static str,
        /// The value given.
        seconds: f64,
    },
    /// The window is shorter than the shortest clip that the encoder takes.
    #[error(
        "a window of {seconds} s ({samples} samples) is too short for the encoder: it needs at least {minimum} samples, \
         {:.3} s",
        *minimum as f64 / f64::from(*sample_rate)
    )]
    TooShort {
        /// The value given.
        seconds: f64,
        /// The window in samples, rounded to whole frames.
        samples: usize,
        /// Samples that the encoder needs.
        minimum: usize,
        /// The rate that both are counted at, in Hz.
        sample_rate: u32,
    },
    /// The window is longer than the longest clip that the encoder takes.
    #[error(
        "a window of {seconds} s ({samples} samples) is too long for the encoder: it takes at most {maximum} samples, \
         {:.3} s",
        *maximum as f64 / f64::from(*sample_rate)
    )]
    TooLong {
        /// The value given.
        seconds: f64,
        /// The window in samples, rounded to whole frames.
        samples: usize,
        /// Samples that are possible.
        maximum: usize,
        /// The rate that both are counted at, in Hz.
        sample_rate: u32,
    },
    /// The encoder takes clips of one length, and another window is asked for.
    #[error("the encoder takes clips of {clip_seconds} s only: leave --window out")]
    FixedLength {
        /// Length of its clips in seconds.
        clip_seconds: f64,
    },
    /// Frames at the end of a window are missing, and windows overlap too little to make up for it.
    #[error(
        "windows of {window_seconds:.4} s with a hop of {hop_seconds:.4} s leave frames out: the encoder gives none for the \
         last {:.1} ms of a window. Give a hop of at most {longest_hop_seconds:.4} s, or leave it out",
        edge_seconds * 1e3
    )]
    FrameGap {
        /// The window, rounded to whole frames, in seconds.
        window_seconds: f64,
        /// The hop, rounded to whole frames, in seconds.
        hop_seconds: f64,
        /// The end of a window that no frame stands for, in seconds.
        edge_seconds: f64,
        /// The longest hop without a gap, in seconds.
        longest_hop_seconds: f64,
    },
    /// The hop is longer than the window, so sound between windows would be skipped.
    #[error(
        "a hop of {hop_seconds} s is longer than the window of {window_seconds} s and would skip sound: give a hop of at \
         most the window"
    )]
    HopTooLong {
        /// The hop, rounded to whole frames, in seconds.
        hop_seconds: f64,
        /// The window, rounded to whole frames, in seconds.
        window_seconds: f64,
    },
    /// A hop is given, but the whole recording is one window.
    #[error("a hop of {hop_seconds} s has no meaning where the whole recording is one window: leave it out")]
    HopOfWhole {
        /// The value given.
        hop_seconds: f64,
    },
}

/// No window is longer than eleven days; a larger number is a mistake.
const MAXIMUM_SECONDS: f64 = 1e6;

/// How recordings are cut into windows for one encoder. All lengths are whole numbers of frames of every layer (the
/// encoder's grid). For an encoder of whole clips, windows are those clips, and a hop may be any number of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowPlan {
    sample_rate: u32,
    lengths: Option<Lengths>,
    grid_samples: usize,
    minimum_samples: usize,
    takes_whole_clips: bool,
    tail: Tail,
}

/// Length of windows and way from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lengths {
    window_samples: usize,
    hop_samples: usize,
}

impl WindowPlan {
    /// Windows of `window` that start every `hop_seconds`, both rounded to the nearest whole number of frames of every
    /// layer, but at least one.
    ///
    /// Without `hop_seconds`, windows follow each other without overlap, with two exceptions. Those of an encoder whose
    /// frames depend on a finite stretch of sound ([`EncoderSpec::context_samples`]) overlap by twice that stretch, so
    /// that the stitched frames are exactly those of the whole recording. Those of an encoder that gives no frame for
    /// the end of a window ([`EncoderSpec::edge_samples`]) overlap by the two frames or so that close the gap.
    ///
    /// # Errors
    /// [`WindowError`] for seconds that are not a positive number, a window that the encoder cannot take, or a hop that
    /// would leave out sound or frames.
    pub fn new(
        spec: &EncoderSpec,
        window: WindowLength,
        hop_seconds: Option<f64>,
        tail: Tail,
    ) -> Result<Self, WindowError> {
        let lengths = match window {
            WindowLength::Default => Some(Lengths::new(spec, spec.default_window_seconds, hop_seconds)?),
            WindowLength::Seconds(seconds) => Some(Lengths::new(spec, seconds, hop_seconds)?),
            WindowLength::Whole => match (hop_seconds, spec.clip_samples) {
                (None, None) => None,
                (_, Some(clip_samples)) => return Err(WindowError::fixed_length(spec, clip_samples)),
                (Some(hop_seconds), None) => return Err(WindowError::HopOfWhole { hop_seconds }),
            },
        };
        Ok(Self {
            sample_rate: spec.sample_rate,
            lengths,
            grid_samples: if spec.clip_samples.is_some() { 1 } else { spec.grid_samples() },
            minimum_samples: spec.minimum_samples,
            takes_whole_clips: spec.clip_samples.is_some(),
            tail,
        })
    }

    /// Samples that a window of `num_samples` lacks and that are made up: the plan's tail says of what. `head_samples`
    /// are at hand from the recording's start. A window of an encoder of whole clips, which has one vector to give, is
    /// never shorter than the encoder's shortest clip.
    pub(super) fn missing_samples(&self, num_samples: usize, head_samples: usize) -> usize {
        let Some(lengths) = self.lengths else { return 0 };
        let missing = lengths.window_samples.saturating_sub(num_samples);
        let filled = match self.tail {
            Tail::Pad => missing,
            Tail::Wrap => missing.min(head_samples),
            Tail::Overlap | Tail::Drop => 0,
        };
        let least = if self.takes_whole_clips { self.minimum_samples.saturating_sub(num_samples) } else { 0 };
        filled.max(least)
    }

    /// The rate that all samples are counted at, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Samples of a full window; `None` where the whole recording is one window.
    pub fn window_samples(&self) -> Option<usize> {
        self.lengths.map(|lengths| lengths.window_samples)
    }

    /// Samples from the start of one window to the start of the next; `None` where the whole recording is one window.
    pub fn hop_samples(&self) -> Option<usize> {
        self.lengths.map(|lengths| lengths.hop_samples)
    }

    /// What happens to the end of a recording.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// Samples that have to be in sight from the start of a window, for the next window to be known without knowing
    /// where the recording ends.
    pub(super) fn sight_samples(&self) -> Option<u64> {
        self.lengths.map(|lengths| lengths.window_samples as u64 + lengths.hop_samples as u64)
    }

    /// The first window of a recording of `num_samples`.
    pub(super) fn first_span(&self, num_samples: u64) -> Option<Span> {
        if num_samples == 0 {
            return None;
        }
        match self.lengths {
            Some(lengths) if num_samples >= lengths.window_samples as u64 => Some(lengths.full_span(0)),
            Some(_) if self.tail == Tail::Drop => None,
            _ => Some(Span { start: 0, end: num_samples, is_tail: true }),
        }
    }

    /// The window after `span` in a recording of `num_samples`, or `None` where `span` is the last.
    pub(super) fn span_after(&self, span: Span, num_samples: u64) -> Option<Span> {
        let lengths = self.lengths?;
        if span.is_tail || num_samples <= span.end {
            return None;
        }
        let next = lengths.full_span(span.start + lengths.hop_samples as u64);
        if num_samples >= next.end {
            return Some(next);
        }
        match self.tail {
            Tail::Drop => None,
            Tail::Pad | Tail::Wrap => Some(Span { start: next.start, end: num_samples, is_tail: true }),
            Tail::Overlap => {
                let grid = self.grid_samples as u64;
                let mut start = (num_samples - lengths.window_samples as u64).next_multiple_of(grid);
                if num_samples - start < self.minimum_samples as u64 {
                    // The window is hardly longer than the encoder's minimum: rather a little more than it than less.
                    start -= grid;
                }
                Some(Span { start, end: num_samples, is_tail: true })
            }
        }
    }
}

impl WindowError {
    fn fixed_length(spec: &EncoderSpec, clip_samples: usize) -> Self {
        Self::FixedLength { clip_seconds: clip_samples as f64 / f64::from(spec.sample_rate) }
    }
}

impl Lengths {
    fn new(spec: &EncoderSpec, window_seconds: f64, hop_seconds: Option<f64>) -> Result<Self, WindowError> {
        if let Some(clip_samples) = spec.clip_samples {
            return Self::of_clips(spec, clip_samples, window_seconds, hop_seconds);
        }
        let window_samples = on_grid(spec, "window", window_seconds)?;
        if window_samples < spec.minimum_samples {
            return Err(WindowError::TooShort {
                seconds: window_seconds,
                samples: window_samples,
                minimum: spec.minimum_samples,
                sample_rate: spec.sample_rate,
            });
        }
        if let Some(maximum) = spec.maximum_samples
            && window_samples > maximum
        {
            let (samples, sample_rate) = (window_samples, spec.sample_rate);
            return Err(WindowError::TooLong { seconds: window_seconds, samples, maximum, sample_rate });
        }
        let edge_overlap = edge_overlap(spec);
        if edge_overlap > 0 && window_samples <= edge_overlap {
            return Err(WindowError::TooShort {
                seconds: window_seconds,
                samples: window_samples,
                minimum: edge_overlap + spec.grid_samples(),
                sample_rate: spec.sample_rate,
            });
        }
        let hop_samples = match (hop_seconds, spec.context_samples) {
            (Some(hop_seconds), _) => on_grid(spec, "hop", hop_seconds)?,
            (None, Some(context)) => {
                let overlap = (2 * context).next_multiple_of(spec.grid_samples()).max(edge_overlap);
                if overlap < window_samples { window_samples - overlap } else { window_samples }
            }
            (None, None) => window_samples - edge_overlap,
        };
        let seconds = |samples: usize| samples as f64 / f64::from(spec.sample_rate);
        if hop_samples > window_samples {
            return Err(WindowError::HopTooLong {
                hop_seconds: seconds(hop_samples),
                window_seconds: seconds(window_samples),
            });
        }
        if edge_overlap > 0 && hop_samples + edge_overlap > window_samples {
            return Err(WindowError::FrameGap {
                window_seconds: seconds(window_samples),
                hop_seconds: seconds(hop_samples),
                edge_seconds: seconds(spec.edge_samples),
                longest_hop_seconds: seconds(window_samples - edge_overlap),
            });
        }
        Ok(Self { window_samples, hop_samples })
    }

    /// The one window that an encoder of whole clips takes.
    fn of_clips(
        spec: &EncoderSpec,
        clip_samples: usize,
        window_seconds: f64,
        hop_seconds: Option<f64>,
    ) -> Result<Self, WindowError> {
        let rate = f64::from(spec.sample_rate);
        let samples = |what, seconds: f64| {
            let is_possible = seconds > 0.0 && seconds <= MAXIMUM_SECONDS;
            if is_possible {
                Ok((seconds * rate).round() as usize)
            } else {
                Err(WindowError::Seconds { what, seconds })
            }
        };
        if samples("window", window_seconds)? != clip_samples {
            return Err(WindowError::fixed_length(spec, clip_samples));
        }
        let hop_samples = hop_seconds.map_or(Ok(clip_samples), |seconds| samples("hop", seconds))?.max(1);
        if hop_samples > clip_samples {
            let (hop_seconds, window_seconds) = (hop_samples as f64 / rate, clip_samples as f64 / rate);
            return Err(WindowError::HopTooLong { hop_seconds, window_seconds });
        }
        Ok(Self { window_samples: clip_samples, hop_samples })
    }

    fn full_span(self, start: u64) -> Span {
        Span { start, end: start + self.window_samples as u64, is_tail: false }
    }
}

/// By how much windows must overlap so that no frame is missing between them, although no frame stands for the last
/// [`EncoderSpec::edge_samples`] of each: stitching cuts in the middle of the overlap, at the later frame.
fn edge_overlap(spec: &EncoderSpec) -> usize {
    let overlap = |hop_samples: usize| 2 * spec.edge_samples.next_multiple_of(hop_samples);
    let longest = spec.layers.iter().map(|layer| overlap(layer.hop_samples)).max().unwrap_or(0);
    longest.next_multiple_of(spec.grid_samples())
}

/// Seconds as the nearest whole number of grid steps, at least one, in samples.
fn on_grid(spec: &EncoderSpec, what: &'static str, seconds: f64) -> Result<usize, WindowError> {
    if !(seconds > 0.0 && seconds <= MAXIMUM_SECONDS) {
        return Err(WindowError::Seconds { what, seconds });
    }
    let grid = spec.grid_samples();
    let steps = (seconds * f64::from(spec.sample_rate) / grid as f64).round().max(1.0);
    Ok((steps as usize).saturating_mul(grid))
}

/// The part of a recording that one window covers, in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Whether this window exists only because the recording ends; nothing comes after it.
    pub(super) is_tail: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::LayerSpec;

    /// Layers of 4 and 6 samples a frame, so a grid of 12, at 100 Hz.
    fn spec(minimum_samples: usize, context_samples: Option<usize>) -> EncoderSpec {
        let layer = |hop_samples| LayerSpec { name: "toy".into(), dim: 1, hop_samples };
        EncoderSpec {
            name: "toy".into(),
            identity: "toy".into(),
            weights_sha256: None,
            sample_rate: 100,
            layers: vec![layer(4), layer(6)],
            minimum_samples,
            maximum_samples: None,
            clip_samples: None,
            edge_samples: 0,
            has_class_token: false,
            normalizes_peak: false,
            attention_heads: None,
            context_samples,
            default_window_seconds: 1.2,
            default_tail: Tail::Overlap,
        }
    }

    fn spans(plan: &WindowPlan, num_samples: u64) -> Vec<(u64, u64)> {
        let mut spans = Vec::new();
        let mut next = plan.first_span(num_samples);
        while let Some(span) = next {
            spans.push((span.start, span.end));
            next = plan.span_after(span, num_samples);
        }
        spans
    }

    #[test]
    fn hand_worked_windows_without_overlap() {
        let plan = |tail| WindowPlan::new(&spec(1, None), WindowLength::Default, None, tail).unwrap();
        for (num_samples, pad, drop, overlap) in [
            (0, vec![], vec![], vec![]),
            (1, vec![(0, 1)], vec![], vec![(0, 1)]),
            (119, vec![(0, 119)], vec![], vec![(0, 119)]),
            (120, vec![(0, 120)], vec![(0, 120)], vec![(0, 120)]),
            (121, vec![(0, 120), (120, 121)], vec![(0, 120)], vec![(0, 120), (12, 121)]),
            (132, vec![(0, 120), (120, 132)], vec![(0, 120)], vec![(0, 120), (12, 132)]),
            (239, vec![(0, 120), (120, 239)], vec![(0, 120)], vec![(0, 120), (120, 239)]),
            (240, vec![(0, 120), (120, 240)], vec![(0, 120), (120, 240)], vec![(0, 120), (120, 240)]),
        ] {
            assert_eq!(spans(&plan(Tail::Pad), num_samples), pad, "pad {num_samples}");
            assert_eq!(spans(&plan(Tail::Drop), num_samples), drop, "drop {num_samples}");
            assert_eq!(spans(&plan(Tail::Overlap), num_samples), overlap, "overlap {num_samples}");
        }
    }

    #[test]
    fn hand_worked_windows_with_overlap() {
        let plan = |tail| WindowPlan::new(&spec(1, None), WindowLength::Seconds(0.48), Some(0.24), tail).unwrap();
        assert_eq!(spans(&plan(Tail::Overlap), 96), [(0, 48), (24, 72), (48, 96)]);
        assert_eq!(spans(&plan(Tail::Overlap), 100), [(0, 48), (24, 72), (48, 96), (60, 100)]);
        assert_eq!(spans(&plan(Tail::Pad), 100), [(0, 48), (24, 72), (48, 96), (72, 100)]);
        assert_eq!(spans(&plan(Tail::Drop), 100), [(0, 48), (24, 72), (48, 96)]);
    }

    #[test]
    fn the_last_window_is_never_below_the_minimum() {
        let plan = WindowPlan::new(&spec(47, None), WindowLength::Seconds(0.48), None, Tail::Overlap).unwrap();
        assert_eq!(spans(&plan, 49), [(0, 48), (0, 49)]);
        assert_eq!(spans(&plan, 59), [(0, 48), (12, 59)]);
        for num_samples in 48..500 {
            assert!(spans(&plan, num_samples).iter().all(|(start, end)| end - start >= 47), "{num_samples}");
        }
    }

    #[test]
    fn the_whole_recording_is_one_window_whatever_the_tail() {
        for tail in Tail::ALL {
            let plan = WindowPlan::new(&spec(1, None), WindowLength::Whole, None, tail).unwrap();
            assert_eq!((plan.window_samples(), plan.hop_samples()), (None, None));
            assert_eq!(spans(&plan, 1_000_003), [(0, 1_000_003)]);
        }
    }

    #[test]
    fn lengths_are_whole_frames_of_every_layer() {
        let plan = |window, hop| {
            let plan = WindowPlan::new(&spec(1, None), WindowLength::Seconds(window), hop, Tail::Pad).unwrap();
            (plan.window_samples().unwrap(), plan.hop_samples().unwrap())
        };
        assert_eq!(plan(1.0, None), (96, 96));
        assert_eq!(plan(1.03, Some(0.5)), (108, 48));
        assert_eq!(plan(0.001, Some(0.001)), (12, 12));
    }

    #[test]
    fn a_finite_context_makes_windows_overlap_by_twice_as_much() {
        let hop = |context| {
            let spec = spec(1, Some(context));
            WindowPlan::new(&spec, WindowLength::Default, None, Tail::Overlap).unwrap().hop_samples()
        };
        assert_eq!(hop(0), Some(120));
        assert_eq!(hop(1), Some(108));
        assert_eq!(hop(12), Some(96));
        assert_eq!(hop(13), Some(84));
        assert_eq!(hop(60), Some(120), "no overlap is possible: as without context");
    }

    #[test]
    fn windows_overlap_so_far_that_no_frame_is_missing() {
        let plan = |edge_samples, hop| {
            let spec = EncoderSpec { edge_samples, layers: vec![spec(1, None).layers.remove(0)], ..spec(1, None) };
            WindowPlan::new(&spec, WindowLength::Default, hop, Tail::Overlap)
        };
        for (edge_samples, hop_samples) in [(0, 120), (1, 112), (4, 112), (5, 104), (56, 8)] {
            assert_eq!(plan(edge_samples, None).unwrap().hop_samples(), Some(hop_samples), "{edge_samples}");
        }
        assert_eq!(plan(1, Some(1.12)).unwrap().hop_samples(), Some(112));
        assert_eq!(
            plan(1, Some(1.2)).unwrap_err().to_string(),
            "windows of 1.2000 s with a hop of 1.2000 s leave frames out: the encoder gives none for the last 10.0 ms of a \
             window. Give a hop of at most 1.1200 s, or leave it out"
        );
        assert!(matches!(plan(1, Some(1.5)), Err(WindowError::HopTooLong { .. })));
        assert!(plan(60, None).unwrap_err().to_string().contains("needs at least 124 samples, 1.240 s"));
    }

    #[test]
    fn an_encoder_of_whole_clips_has_windows_of_its_clips_at_any_hop() {
        let spec = EncoderSpec { clip_samples: Some(120), minimum_samples: 120, ..spec(120, None) };
        let plan = |window, hop, tail| WindowPlan::new(&spec, window, hop, tail);
        let fixed = |hop, tail| plan(WindowLength::Default, hop, tail).unwrap();
        assert_eq!(spans(&fixed(None, Tail::Wrap), 250), [(0, 120), (120, 240), (240, 250)]);
        assert_eq!(spans(&fixed(None, Tail::Overlap), 250), [(0, 120), (120, 240), (130, 250)]);
        assert_eq!(spans(&fixed(None, Tail::Overlap), 7), [(0, 7)]);
        assert_eq!(spans(&fixed(Some(0.5), Tail::Drop), 250), [(0, 120), (50, 170), (100, 220)]);
        for tail in Tail::ALL {
            assert_eq!(fixed(None, tail).missing_samples(7, 7), 113, "{tail}");
        }
        let spec = EncoderSpec { minimum_samples: 30, ..spec.clone() };
        let missing = |tail, num_samples, head_samples| {
            let plan = WindowPlan::new(&spec, WindowLength::Default, None, tail).unwrap();
            plan.missing_samples(num_samples, head_samples)
        };
        // A recording of its own, one of less than the shortest clip, and the rest of a longer one.
        for (tail, expected) in [
            (Tail::Pad, [80, 110, 110]),
            (Tail::Wrap, [40, 20, 110]),
            (Tail::Overlap, [0, 20, 20]),
            (Tail::Drop, [0, 20, 20]),
        ] {
            assert_eq!([missing(tail, 40, 40), missing(tail, 10, 10), missing(tail, 10, 120)], expected, "{tail}");
        }
        for window in [WindowLength::Whole, WindowLength::Seconds(1.21)] {
            let error = plan(window, None, Tail::Overlap).unwrap_err().to_string();
            assert_eq!(error, "the encoder takes clips of 1.2 s only: leave --window out");
        }
        assert!(matches!(plan(WindowLength::Default, Some(1.3), Tail::Overlap), Err(WindowError::HopTooLong { .. })));
    }

    #[test]
    fn no_window_is_longer_than_the_longest_clip() {
        let spec = EncoderSpec { maximum_samples: Some(240), ..spec(1, None) };
        let plan = |seconds| WindowPlan::new(&spec, WindowLength::Seconds(seconds), None, Tail::Overlap);
        assert!(plan(2.4).is_ok());
        assert!(plan(2.52).unwrap_err().to_string().contains("at most 240 samples, 2.400 s"));
    }

    #[test]
    fn impossible_lengths_are_errors_with_values() {
        let plan = |window, hop| WindowPlan::new(&spec(30, None), window, hop, Tail::Overlap).unwrap_err().to_string();
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(plan(WindowLength::Seconds(seconds), None).contains("window"), "{seconds}");
            assert!(plan(WindowLength::Default, Some(seconds)).contains("hop"), "{seconds}");
        }
        assert_eq!(
            plan(WindowLength::Seconds(0.2), None),
            "a window of 0.2 s (24 samples) is too short for the encoder: it needs at least 30 samples, 0.300 s"
        );
        assert!(
            plan(WindowLength::Default, Some(2.0)).starts_with("a hop of 2.04 s is longer than the window of 1.2 s")
        );
        assert!(plan(WindowLength::Whole, Some(2.0)).contains("leave it out"));
    }
}
