//! The windows of a stream of sound, one after another.

use super::plan::{Span, WindowPlan};
use crate::audio::{AudioError, MonoSource, Waveform};
use crate::encoder::Tail;

/// A piece of a recording, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The sound, filled up where the plan says so: with zeros, or with the recording from its start.
    pub waveform: Waveform,
    /// Where it stands.
    pub position: WindowPosition,
}

/// Where a window stands in its recording and between its neighbours, in samples of the recording. Every start is a
/// whole number of frames of every layer, and so is every end but the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPosition {
    /// The window's first sample.
    pub start_sample: u64,
    /// The sample after the window's last one; what fills the window up does not count.
    pub end_sample: u64,
    /// Where the window before this one ends; `None` for the first.
    pub previous_end_sample: Option<u64>,
    /// Where the window after this one starts; `None` for the last.
    pub next_start_sample: Option<u64>,
    /// Whether something fills the window up that does not stand there in the recording.
    pub is_padded: bool,
}

impl WindowPosition {
    /// Whether the recording's last window is this one.
    pub fn is_last(&self) -> bool {
        self.next_start_sample.is_none()
    }
}

/// Cuts a source into windows as a [`WindowPlan`] says.
///
/// A window is handed out when it is known where the next one starts, or that there is none. What is held is at most
/// twice a window, a hop and a block of the source together. (With [`WindowLength::Whole`](super::WindowLength::Whole) that is the whole
/// recording.) The source must be at the plan's sample rate; an encoder refuses windows at another.
pub struct WindowStream<S> {
    source: S,
    plan: WindowPlan,
    /// Sound that may still be needed, and where it starts in the recording.
    buffer: Vec<f32>,
    buffer_start: u64,
    /// The recording's first window of sound, where the last window is filled up with it.
    head: Vec<f32>,
    source_ended: bool,
    progress: Progress,
}

#[derive(Clone, Copy)]
enum Progress {
    Start,
    /// The window to come, and the end of the one before it.
    Next(Span, Option<u64>),
    End,
}

impl<S: MonoSource> WindowStream<S> {
    /// The windows of `source`.
    pub fn new(source: S, plan: WindowPlan) -> Self {
        Self {
            source,
            plan,
            buffer: Vec::new(),
            buffer_start: 0,
            head: Vec::new(),
            source_ended: false,
            progress: Progress::Start,
        }
    }

    /// Samples read from the source so far: once there are no more windows, the length of the recording.
    pub fn num_samples(&self) -> u64 {
        self.buffer_start + self.buffer.len() as u64
    }

    /// Reads until the window after one that starts at `start` is known.
    fn look_ahead(&mut self, start: u64) -> Result<(), AudioError> {
        let enough = self.plan.sight_samples().map(|sight| start + sight);
        while !self.source_ended && enough.is_none_or(|enough| self.num_samples() < enough) {
            match self.source.next_block()? {
                Some(block) => self.buffer.extend_from_slice(block.samples()),
                None => self.source_ended = true,
            }
        }
        Ok(())
    }

    /// Forgets sound before `start`, once that is at least half of what is held: so sound is moved once on average,
    /// even where the source hands out hours in one block.
    fn forget_before(&mut self, start: u64) {
        let unused = (start - self.buffer_start) as usize;
        if unused >= self.buffer.len() / 2 {
            self.buffer.drain(..unused);
            self.buffer_start = start;
        }
    }

    fn next_window(&mut self) -> Result<Option<Window>, AudioError> {
        let (span, previous_end) = match self.progress {
            Progress::Start => {
                self.look_ahead(0)?;
                match self.plan.first_span(self.num_samples()) {
                    Some(span) => (span, None),
                    None => return Ok(None),
                }
            }
            Progress::Next(span, previous_end) => (span, previous_end),
            Progress::End => return Ok(None),
        };
        self.forget_before(span.start);
        self.look_ahead(span.start)?;
        let next = self.plan.span_after(span, self.num_samples());
        self.progress = next.map_or(Progress::End, |next| Progress::Next(next, Some(span.end)));
        let mut samples =
            self.buffer[(span.start - self.buffer_start) as usize..(span.end - self.buffer_start) as usize].to_vec();
        if self.plan.tail() == Tail::Wrap && span.start == 0 {
            self.head.clone_from(&samples);
        }
        let missing = self.plan.missing_samples(samples.len(), self.head.len());
        if self.head.is_empty() {
            samples.resize(samples.len() + missing, 0.0);
        } else {
            samples.extend(self.head.iter().cycle().take(missing));
        }
        Ok(Some(Window {
            waveform: Waveform::new(samples, self.source.sample_rate()),
            position: WindowPosition {
                start_sample: span.start,
                end_sample: span.end,
                previous_end_sample: previous_end,
                next_start_sample: next.map(|next| next.start),
                is_padded: missing > 0,
            },
        }))
    }
}

impl<S: MonoSource> Iterator for WindowStream<S> {
    type Item = Result<Window, AudioError>;

    fn next(&mut self) -> Option<Self::Item> {
        let window = self.next_window();
        if !matches!(window, Ok(Some(_))) {
            self.progress = Progress::End;
        }
        window.transpose()
    }
}

impl<S: MonoSource> std::iter::FusedIterator for WindowStream<S> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::WaveformSource;
    use crate::encoder::{EncoderSpec, LayerSpec};
    use crate::windows::WindowLength;

    fn plan(tail: Tail) -> WindowPlan {
        let spec = EncoderSpec {
            name: "toy".into(),
            identity: "toy".into(),
            weights_sha256: None,
            sample_rate: 100,
            layers: vec![LayerSpec { name: "toy".into(), dim: 1, hop_samples: 10 }],
            minimum_samples: 1,
            maximum_samples: None,
            clip_samples: None,
            edge_samples: 0,
            has_class_token: false,
            normalizes_peak: false,
            attention_heads: None,
            context_samples: None,
            default_window_seconds: 1.0,
            default_tail: Tail::Overlap,
        };
        WindowPlan::new(&spec, WindowLength::Seconds(1.0), Some(0.5), tail).unwrap()
    }

    fn ramp(num_samples: usize) -> Waveform {
        Waveform::new((0..num_samples).map(|index| index as f32 + 1.0).collect(), 100)
    }

    /// Hands out a ramp in blocks of one size; fails after the last where told to.
    struct Blocks {
        rest: Vec<f32>,
        block: usize,
        fails: bool,
    }

    impl MonoSource for Blocks {
        fn sample_rate(&self) -> u32 {
            100
        }

        fn num_samples_hint(&self) -> Option<u64> {
            None
        }

        fn next_block(&mut self) -> Result<Option<Waveform>, AudioError> {
            if self.rest.is_empty() {
                return if self.fails {
                    Err(AudioError::Damaged { path: "a.mp3".into(), seconds: 1.0, reason: "test".into() })
                } else {
                    Ok(None)
                };
            }
            let block = self.rest.drain(..self.block.min(self.rest.len())).collect();
            Ok(Some(Waveform::new(block, 100)))
        }
    }

    #[test]
    fn windows_do_not_depend_on_the_blocks() {
        for tail in Tail::ALL {
            for num_samples in [0, 1, 99, 100, 101, 150, 151, 477, 500] {
                let mut whole = WindowStream::new(WaveformSource::new(ramp(num_samples)), plan(tail));
                let expected: Vec<Window> = whole.by_ref().map(Result::unwrap).collect();
                assert_eq!(whole.num_samples(), num_samples as u64);
                for block in [1, 7, 50, 100, 333] {
                    let source = Blocks { rest: ramp(num_samples).into_samples(), block, fails: false };
                    let windows: Vec<Window> = WindowStream::new(source, plan(tail)).map(Result::unwrap).collect();
                    assert!(windows == expected, "{tail} {num_samples} in blocks of {block}");
                }
            }
        }
    }

    #[test]
    fn windows_hold_the_sound_at_their_position() {
        for tail in Tail::ALL {
            let windows: Vec<Window> =
                WindowStream::new(WaveformSource::new(ramp(477)), plan(tail)).map(Result::unwrap).collect();
            for (index, Window { waveform, position }) in windows.iter().enumerate() {
                let num_samples = (position.end_sample - position.start_sample) as usize;
                let expected = &ramp(477).into_samples()[position.start_sample as usize..][..num_samples];
                assert_eq!(&waveform.samples()[..num_samples], expected);
                for (filled, &sample) in waveform.samples()[num_samples..].iter().enumerate() {
                    assert_eq!(sample, if tail == Tail::Wrap { filled as f32 + 1.0 } else { 0.0 });
                }
                assert_eq!(waveform.num_samples() > num_samples, position.is_padded);
                assert_eq!(position.is_padded, matches!(tail, Tail::Pad | Tail::Wrap) && position.is_last());
                let previous = index.checked_sub(1).map(|previous| windows[previous].position.end_sample);
                assert_eq!(position.previous_end_sample, previous);
                let next = windows.get(index + 1).map(|next| next.position.start_sample);
                assert_eq!(position.next_start_sample, next);
            }
        }
    }

    #[test]
    fn a_short_recording_wraps_round_once() {
        for (num_samples, filled) in [(40, 80), (70, 100)] {
            let source = WaveformSource::new(ramp(num_samples));
            let window = WindowStream::new(source, plan(Tail::Wrap)).next().unwrap().unwrap();
            let expected: Vec<f32> = (0..filled).map(|index| (index % num_samples) as f32 + 1.0).collect();
            assert_eq!(window.waveform.samples(), expected);
            assert_eq!((window.position.end_sample, window.position.is_padded), (num_samples as u64, true));
        }
    }

    #[test]
    fn little_is_held_of_a_long_recording() {
        let source = Blocks { rest: ramp(20_000).into_samples(), block: 30, fails: false };
        let mut windows = WindowStream::new(source, plan(Tail::Overlap));
        while windows.next().is_some() {
            assert!(windows.buffer.len() <= 2 * (100 + 50 + 30), "{} samples held", windows.buffer.len());
        }
    }

    #[test]
    fn an_error_of_the_source_ends_the_windows() {
        let source = Blocks { rest: ramp(260).into_samples(), block: 30, fails: true };
        let mut windows = WindowStream::new(source, plan(Tail::Overlap));
        let before: Vec<_> = windows.by_ref().take_while(Result::is_ok).collect();
        assert_eq!(before.len(), 3);
        assert!(windows.next().is_none());
    }
}
