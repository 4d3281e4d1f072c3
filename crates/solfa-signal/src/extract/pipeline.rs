//! Many recordings, decoded ahead of the encoder and encoded in batches.
//!
//! Decoder threads each take the next file, decode, resample and cut it, and may run a few windows ahead; the calling
//! thread takes the windows in the order of the files, groups neighbours into batches, whichever file they come from, and
//! stitches each file's frames. The order of all that the caller sees is that of the files, whatever
//! the threads do, and memory holds a few windows for every thread.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{Batching, ExtractError, FrameSink, StitchedLayer, Stitcher, open_recording};
use crate::audio::{AudioError, Resampler, Waveform};
use crate::encoder::{Encoder, LayerChoice};
use crate::windows::{WindowPlan, WindowPosition, WindowStream};

/// Windows that a decoder may be ahead of the encoder.
const WINDOWS_AHEAD: usize = 2;

/// How recordings become frames.
pub struct Pipeline<'encoder> {
    /// The encoder.
    pub encoder: &'encoder dyn Encoder,
    /// How recordings are cut, made for this encoder.
    pub plan: WindowPlan,
    /// The layers wanted.
    pub layers: LayerChoice,
    /// How recordings get to the encoder's sample rate.
    pub resampler: Resampler,
    /// Which windows are encoded in one call.
    pub batching: Batching,
    /// Threads that decode.
    pub decoder_threads: usize,
}

/// What becomes of each recording. Recordings are numbered by their place in the list, and come in that order.
pub trait RecordingVisitor {
    /// Where a recording's frames go.
    type Sink: FrameSink;

    /// Makes the sink of recording `index`.
    ///
    /// # Errors
    /// A sink that cannot be made fails the recording.
    fn open(&mut self, index: usize, layers: &[StitchedLayer]) -> io::Result<Self::Sink>;

    /// Some more seconds of sound have been encoded.
    fn advanced(&mut self, seconds: f64);

    /// Recording `index` is done, or has failed. What a failed one pushed into its sink is to be thrown away.
    fn finished(&mut self, index: usize, result: Result<FinishedRecording<Self::Sink>, ExtractError>);
}

/// A recording of which every frame has been pushed.
pub struct FinishedRecording<S> {
    /// Its sink.
    pub sink: S,
    /// Its layers, and how many frames each has.
    pub layers: Vec<StitchedLayer>,
    /// Its length in seconds.
    pub seconds: f64,
}

/// What a decoder thread sends of one recording.
enum Decoded {
    Window(WindowPosition, Waveform),
    End { num_samples: u64 },
    Failed(AudioError),
}

impl Pipeline<'_> {
    /// Encodes every recording and reports to `visitor`, which is called on this thread only.
    ///
    /// # Errors
    /// [`ExtractError::Encode`] for layers that the encoder does not have. Whatever else goes wrong belongs to one
    /// recording and is reported there; the others go on.
    pub fn run(&self, paths: &[PathBuf], visitor: &mut impl RecordingVisitor) -> Result<(), ExtractError> {
        let stitcher = Stitcher::new(self.encoder.spec(), &self.plan, &self.layers)?;
        let (ordered_sender, ordered) = sync_channel(self.decoder_threads.max(1));
        let queue = Mutex::new(Queue { next: 0, ordered: ordered_sender });
        std::thread::scope(|scope| {
            for _ in 0..self.decoder_threads.clamp(1, paths.len().max(1)) {
                scope.spawn(|| self.decode_all(paths, &queue));
            }
            let mut run = Run { pipeline: self, visitor, open: VecDeque::new(), batch: Vec::new() };
            // Every index comes exactly once and in order, so the list ends when all have come.
            for (index, windows) in ordered.iter().take(paths.len()) {
                run.recording(index, &stitcher, &windows);
            }
            run.flush();
        });
        Ok(())
    }

    /// The work of one decoder thread.
    fn decode_all(&self, paths: &[PathBuf], queue: &Mutex<Queue>) {
        while let Some((index, sender)) = take_next(queue, paths.len()) {
            // A receiver that is gone wants no more of this recording.
            let _ = match self.decode(&paths[index], &sender) {
                Ok(num_samples) => sender.send(Decoded::End { num_samples }),
                Err(error) => sender.send(Decoded::Failed(error)),
            };
        }
    }

    fn decode(&self, path: &std::path::Path, sender: &SyncSender<Decoded>) -> Result<u64, AudioError> {
        let source = open_recording(path, self.encoder.spec(), self.resampler)?;
        let mut windows = WindowStream::new(source, self.plan.clone());
        for window in windows.by_ref() {
            let window = window?;
            if sender.send(Decoded::Window(window.position, window.waveform)).is_err() {
                break;
            }
        }
        Ok(windows.num_samples())
    }
}

/// The next recording to decode, and where its windows are announced.
struct Queue {
    next: usize,
    ordered: SyncSender<(usize, Receiver<Decoded>)>,
}

/// Takes the next recording and announces it, both under one lock, so that announcements are in order.
fn take_next(queue: &Mutex<Queue>, count: usize) -> Option<(usize, SyncSender<Decoded>)> {
    let mut queue = queue.lock().ok()?;
    let index = queue.next;
    if index >= count {
        return None;
    }
    queue.next += 1;
    let (sender, receiver) = sync_channel(WINDOWS_AHEAD);
    queue.ordered.send((index, receiver)).ok()?;
    Some((index, sender))
}

/// The state of the thread that encodes.
struct Run<'run, 'encoder, V: RecordingVisitor> {
    pipeline: &'run Pipeline<'encoder>,
    visitor: &'run mut V,
    /// Recordings with windows in the batch, and the one that is being read, oldest first.
    open: VecDeque<OpenRecording<V::Sink>>,
    /// Windows that wait for their turn.
    batch: Vec<PendingWindow>,
}

struct OpenRecording<S> {
    index: usize,
    stitcher: Stitcher,
    /// The sink, or why the recording has failed.
    sink: Result<S, ExtractError>,
    /// Number of samples, once the end has been read.
    num_samples: Option<u64>,
}

struct PendingWindow {
    index: usize,
    position: WindowPosition,
    waveform: Waveform,
}

impl<V: RecordingVisitor> Run<'_, '_, V> {
    /// Takes all windows of one recording.
    fn recording(&mut self, index: usize, stitcher: &Stitcher, windows: &Receiver<Decoded>) {
        let sink = self.visitor.open(index, stitcher.layers()).map_err(ExtractError::Sink);
        self.open.push_back(OpenRecording { index, stitcher: stitcher.clone(), sink, num_samples: None });
        let mut num_samples = 0;
        for decoded in windows {
            match decoded {
                Decoded::Window(position, waveform) => {
                    if !self.pipeline.batching.takes(self.waiting(), waveform.num_samples()) {
                        self.flush();
                    }
                    self.batch.push(PendingWindow { index, position, waveform });
                    if self.pipeline.batching.is_full(self.waiting()) {
                        self.flush();
                    }
                }
                Decoded::End { num_samples: all } => num_samples = all,
                Decoded::Failed(error) => self.fail(index, error.into()),
            }
        }
        if let Some(recording) = self.open.back_mut() {
            recording.num_samples = Some(num_samples);
        }
        if self.batch.is_empty() {
            self.flush();
        }
    }

    /// The lengths of the windows that wait.
    fn waiting(&self) -> impl ExactSizeIterator<Item = usize> + Clone {
        self.batch.iter().map(|window| window.waveform.num_samples())
    }

    fn fail(&mut self, index: usize, error: ExtractError) {
        if let Some(recording) = self.open.iter_mut().find(|recording| recording.index == index)
            && recording.sink.is_ok()
        {
            recording.sink = Err(error);
        }
    }

    /// Encodes the windows that wait, and hands over the recordings that are complete.
    fn flush(&mut self) {
        let mut pending = std::mem::take(&mut self.batch);
        pending.retain(|window| {
            self.open.iter().any(|recording| recording.index == window.index && recording.sink.is_ok())
        });
        let waveforms: Vec<Waveform> = pending.iter_mut().map(|window| take_waveform(&mut window.waveform)).collect();
        if !waveforms.is_empty() {
            self.encode(&pending, &waveforms);
            self.visitor.advanced(waveforms.iter().map(Waveform::seconds).sum());
        }
        while let Some(num_samples) = self.open.front().and_then(|recording| recording.num_samples) {
            let Some(recording) = self.open.pop_front() else { break };
            let plan = &self.pipeline.plan;
            let result = recording.sink.and_then(|sink| {
                let layers = recording.stitcher.layers().to_vec();
                if layers.iter().any(|layer| layer.num_frames == 0) {
                    return Err(ExtractError::no_frames(plan, num_samples));
                }
                Ok(FinishedRecording { sink, layers, seconds: num_samples as f64 / f64::from(plan.sample_rate()) })
            });
            self.visitor.finished(recording.index, result);
        }
    }

    fn encode(&mut self, pending: &[PendingWindow], waveforms: &[Waveform]) {
        let Pipeline { encoder, layers, .. } = self.pipeline;
        match encoder.encode(waveforms, layers) {
            Ok(batch) => {
                for (clip, window) in pending.iter().enumerate() {
                    let Some(recording) = self.open.iter_mut().find(|recording| recording.index == window.index) else {
                        continue;
                    };
                    let OpenRecording { stitcher, sink, .. } = recording;
                    let pushed = match sink {
                        Ok(sink) => stitcher.push(&window.position, &batch, clip, sink),
                        Err(_) => continue,
                    };
                    if let Err(error) = pushed {
                        *sink = Err(error);
                    }
                }
            }
            // One window spoils a batch: alone, each shows whose fault it is.
            Err(_) if pending.len() > 1 => {
                for (window, waveform) in pending.iter().zip(waveforms) {
                    self.encode(std::slice::from_ref(window), std::slice::from_ref(waveform));
                }
            }
            Err(error) => self.fail(pending[0].index, error.into()),
        }
    }
}

/// Moves the samples out.
fn take_waveform(waveform: &mut Waveform) -> Waveform {
    let rate = waveform.sample_rate();
    std::mem::replace(waveform, Waveform::new(Vec::new(), rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio;
    use crate::extract::{Extracted, FrameCollector, extract};
    use crate::features::{MelConfig, MelSpectrogram};
    use crate::frames::Pooling;
    use crate::testing::musical_signal;
    use crate::windows::{Tail, WindowLength};

    #[derive(Default)]
    struct Collecting {
        seconds: f64,
        results: Vec<(usize, Result<Vec<Extracted>, String>)>,
    }

    impl RecordingVisitor for Collecting {
        type Sink = FrameCollector;

        fn open(&mut self, _index: usize, layers: &[StitchedLayer]) -> io::Result<FrameCollector> {
            Ok(FrameCollector::new(layers, Pooling::None))
        }

        fn advanced(&mut self, seconds: f64) {
            self.seconds += seconds;
        }

        fn finished(&mut self, index: usize, result: Result<FinishedRecording<FrameCollector>, ExtractError>) {
            let result = result.map(|recording| recording.sink.finish().unwrap()).map_err(|error| error.to_string());
            self.results.push((index, result));
        }
    }

    fn write_wav(path: &std::path::Path, num_samples: usize, seed: u64) {
        let format = hound::WavSpec {
            channels: 1,
            sample_rate: 24_000,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(path, format).unwrap();
        for &sample in musical_signal(num_samples, 24_000, seed).samples() {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
    }

    #[test]
    fn many_recordings_give_what_each_gives_alone_in_order_and_past_failures() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = MelSpectrogram::new(MelConfig::muq()).unwrap();
        let plan = WindowPlan::new(encoder.spec(), WindowLength::Seconds(0.5), None, Tail::Overlap).unwrap();
        let paths: Vec<PathBuf> = (0..9).map(|index| folder.path().join(format!("{index}.wav"))).collect();
        for (index, path) in paths.iter().enumerate() {
            match index {
                2 => fs_err::write(path, "this is text").unwrap(),
                5 => {}                       // does not exist
                7 => write_wav(path, 100, 7), // too short for one frame
                _ => write_wav(path, 9_000 + 7_000 * index, index as u64),
            }
        }
        let alone = |path: &PathBuf| {
            let source = audio::open(path).map_err(|error| error.to_string())?;
            extract(source, &encoder, &plan, &LayerChoice::All, Pooling::None).map_err(|error| error.to_string())
        };
        let expected: Vec<_> = paths.iter().map(alone).enumerate().collect();
        assert_eq!(expected.iter().filter(|(_, result)| result.is_err()).count(), 3);
        for (batching, decoder_threads) in [
            (Batching::equal_lengths(1), 1),
            (Batching::equal_lengths(3), 2),
            (Batching::equal_lengths(64), 4),
            (Batching::any_lengths(64, 20_000), 4),
            (Batching::any_lengths(5, usize::MAX), 3),
        ] {
            let pipeline = Pipeline {
                encoder: &encoder,
                plan: plan.clone(),
                layers: LayerChoice::All,
                resampler: Resampler::default(),
                batching,
                decoder_threads,
            };
            let mut visitor = Collecting::default();
            pipeline.run(&paths, &mut visitor).unwrap();
            assert_eq!(visitor.results, expected, "{batching:?}, {decoder_threads} threads");
            assert!(visitor.seconds > 0.0);
        }
    }

    #[test]
    fn nothing_to_do_is_done() {
        let encoder = MelSpectrogram::new(MelConfig::muq()).unwrap();
        let plan = WindowPlan::new(encoder.spec(), WindowLength::Default, None, Tail::Overlap).unwrap();
        let (layers, resampler) = (LayerChoice::All, Resampler::default());
        let pipeline = Pipeline {
            encoder: &encoder,
            plan,
            layers,
            resampler,
            batching: Batching::equal_lengths(1),
            decoder_threads: 2,
        };
        let mut visitor = Collecting::default();
        pipeline.run(&[], &mut visitor).unwrap();
        assert!(visitor.results.is_empty());
    }
}
