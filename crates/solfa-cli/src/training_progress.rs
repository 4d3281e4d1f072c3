//! What `solfa pretrain` shows while it trains, and how it is stopped.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use solfa_learn::data::SkippedTrack;
use solfa_learn::train::{LogLine, SkippedCheckpoint, TrainingObserver};

use crate::terminal::{note, note_some};

/// Time between two lines where standard error is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// The loss that is shown is a mean over about so many steps.
const SMOOTHED_STEPS: f64 = 50.0;

/// Rates are those of so many steps.
const RECENT_STEPS: usize = 50;

/// What a program that Ctrl-C ended says with its exit code: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// How often it is looked at whether there was a signal, to say so.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Whether someone wants the program to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopRequests {
    is_requested: Arc<AtomicBool>,
}

impl StopRequests {
    /// From now on the first Ctrl-C (SIGINT) or SIGTERM is a request, and the second one ends the program at once with exit
    /// code 130.
    ///
    /// # Errors
    /// A system that does not hand signals over.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let requests = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down and puts it up, the second finds it up.
            flag::register_conditional_shutdown(signal, INTERRUPTED, requests.is_requested.clone())
                .and_then(|_| flag::register(signal, requests.is_requested.clone()))
                .context("cannot wait for Ctrl-C")?;
        }
        let watched = requests.clone();
        let watch = move || {
            while !watched.is_requested() {
                std::thread::sleep(BETWEEN_LOOKS);
            }
            note("stopping after this step: saving a checkpoint; press again to stop at once");
        };
        std::thread::Builder::new().name("signals".into()).spawn(watch).context("cannot wait for Ctrl-C")?;
        Ok(requests)
    }

    /// Whether there was one.
    pub(crate) fn is_requested(&self) -> bool {
        self.is_requested.load(Ordering::SeqCst)
    }
}

/// Probes of a run while it trains.
#[derive(Clone, Debug)]
pub(crate) struct Probes {
    /// Updates from one to the next.
    pub(crate) every: u64,
    /// What is probed: as for `solfa probe --suite`.
    pub(crate) suite: String,
    /// The run.
    pub(crate) run: PathBuf,
}

impl Probes {
    /// Probes a checkpoint, in a program of its own: nothing that happens there can end the training.
    ///
    /// # Errors
    /// That it failed, with how.
    fn run(&self, step: u64) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["probe", "--suite", &self.suite]);
        command.arg("--model").arg(self.run.join(format!("checkpoints/step-{step:07}.safetensors")));
        command.arg("--output").arg(self.run.join("probes"));
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("`solfa probe` ended with {status}")) }
    }
}

/// A bar with the loss, the learning rate, the speed and the time left on standard error, where that is a terminal; else a
/// line every half minute.
pub(crate) struct TrainingProgress {
    bar: ProgressBar,
    /// What is trained.
    name: String,
    steps: u64,
    stop: StopRequests,
    numbers: Numbers,
    last_line: Instant,
    /// Tracks that were named as skipped.
    told: BTreeSet<usize>,
    probes: Option<Probes>,
}

impl TrainingProgress {
    /// For a run, before its first training begins.
    pub(crate) fn new(stop: StopRequests, probes: Option<Probes>) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message("making ready");
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        let (numbers, last_line) = (Numbers::default(), Instant::now());
        Self { bar, name: String::new(), steps: 0, stop, numbers, last_line, told: BTreeSet::new(), probes }
    }

    /// Whether the training was stopped by a signal.
    pub(crate) fn was_stopped(&self) -> bool {
        self.stop.is_requested()
    }

    /// Removes the bar. Without one, says where the training stands.
    pub(crate) fn finish(&self) {
        if self.bar.is_hidden() && self.numbers.step > 0 {
            note(&self.line());
        }
        self.bar.finish_and_clear();
    }

    fn line(&self) -> String {
        format!("{}: step {} of {}: {}", self.name, self.numbers.step, self.steps, self.numbers.shown(self.steps))
    }
}

impl TrainingObserver for TrainingProgress {
    fn begins(&mut self, name: &str, steps: u64) {
        name.clone_into(&mut self.name);
        self.steps = steps;
        self.numbers = Numbers::default();
        self.bar.reset();
        self.bar.set_length(steps);
        self.bar.set_message(format!("{name}: reading the first batch"));
    }

    fn advanced(&mut self, done: u64) {
        self.bar.set_position(done);
    }

    fn tracks_skipped(&mut self, tracks: &[SkippedTrack]) {
        let new = tracks.iter().filter(|track| self.told.insert(track.track));
        let lines: Vec<String> = new.map(|track| format!("{}: {}", track.name, track.reason)).collect();
        if !lines.is_empty() {
            self.bar.suspend(|| note_some("tracks that are not learned from", lines));
        }
    }

    fn resumed(&mut self, step: u64, skipped: &[SkippedCheckpoint]) {
        self.bar.suspend(|| {
            for checkpoint in skipped {
                note(&format!("{}: cannot be used: {}", checkpoint.path.display(), checkpoint.reason));
            }
            note(&format!("going on after step {step} of {}", self.steps));
        });
        self.bar.set_position(step);
    }

    fn stepped(&mut self, line: &LogLine) {
        self.numbers.add(line);
        self.bar.set_position(line.step);
        if line.skipped {
            let numbers = &self.numbers;
            let message =
                format!("step {}: skipped, a number is not finite ({} skipped so far)", line.step, numbers.skipped);
            self.bar.suspend(|| note(&message));
        }
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{}: {}", self.name, self.numbers.shown(self.steps)));
        } else if self.last_line.elapsed() >= BETWEEN_LINES {
            note(&self.line());
            self.last_line = Instant::now();
        }
    }

    fn saved(&mut self, step: u64) {
        let Some(probes) = &self.probes else { return };
        // What is fitted first has steps of its own, and no encoder that could be probed.
        let name = format!("checkpoints/step-{step:07}.safetensors");
        if !step.is_multiple_of(probes.every) || !probes.run.join(name).is_file() {
            return;
        }
        self.bar.suspend(|| {
            note(&format!("probing the encoder after step {step}"));
            if let Err(reason) = probes.run(step) {
                note(&format!("the probe after step {step} failed: {reason}; the training goes on"));
            }
        });
    }

    fn wants_to_stop(&mut self) -> bool {
        self.stop.is_requested()
    }
}

/// What is shown of the last steps.
#[derive(Debug, Default)]
struct Numbers {
    step: u64,
    learning_rate: f64,
    skipped: u64,
    /// The sum of losses by age, and of their weights.
    loss: (f64, f64),
    recent: VecDeque<Recent>,
}

/// The time of a step, and what it was for.
#[derive(Clone, Copy, Debug)]
struct Recent {
    seconds: f64,
    waited: f64,
    audio_seconds: f64,
}

impl Numbers {
    fn add(&mut self, line: &LogLine) {
        (self.step, self.learning_rate) = (line.step, line.learning_rate);
        self.skipped += u64::from(line.skipped);
        if line.loss.is_finite() {
            let kept = 1.0 - 1.0 / SMOOTHED_STEPS;
            let (sum, weight) = self.loss;
            self.loss = (kept * sum + line.loss, kept * weight + 1.0);
        }
        let seconds = line.seconds.total();
        let audio_seconds = line.audio_seconds_per_second * seconds;
        self.recent.push_back(Recent { seconds, waited: line.seconds.data, audio_seconds });
        if self.recent.len() > RECENT_STEPS {
            self.recent.pop_front();
        }
    }

    /// `loss 6.12, rate 2.0e-4, 48.1 s of audio a second, 0.4 % waiting for data, 2 minutes left`
    fn shown(&self, steps: u64) -> String {
        // Beginning with 0: the sum of nothing is -0 in Rust.
        let sum = |of: fn(&Recent) -> f64| {
            self.recent.iter().map(of).filter(|value| value.is_finite()).fold(0.0, |sum, value| sum + value)
        };
        let seconds = sum(|recent| recent.seconds).max(f64::MIN_POSITIVE);
        let (losses, weight) = self.loss;
        let loss = if weight > 0.0 { format!("{:.4}", losses / weight) } else { "not finite".to_owned() };
        let left = steps.saturating_sub(self.step) as f64 * seconds / self.recent.len().max(1) as f64;
        let skipped = if self.skipped > 0 { format!(", {} steps skipped", self.skipped) } else { String::new() };
        format!(
            "loss {loss}, rate {:.2e}, {:.1} s of audio a second, {:.1} % waiting for data, {} left{skipped}",
            self.learning_rate,
            sum(|recent| recent.audio_seconds) / seconds,
            100.0 * sum(|recent| recent.waited) / seconds,
            HumanDuration(Duration::try_from_secs_f64(left).unwrap_or_default()),
        )
    }
}

#[cfg(test)]
mod tests {
    use solfa_learn::train::StepSeconds;

    use super::*;

    fn line(step: u64, loss: f64) -> LogLine {
        LogLine {
            step,
            loss,
            learning_rate: 2.5e-4,
            skipped: !loss.is_finite(),
            seconds: StepSeconds { data: 0.5, forward: 0.5, backward: 0.75, optimizer: 0.25 },
            audio_seconds_per_second: 20.0,
            ..LogLine::default()
        }
    }

    #[test]
    fn a_line_says_how_it_goes() {
        let mut numbers = Numbers::default();
        assert_eq!(
            numbers.shown(10),
            "loss not finite, rate 0.00e0, 0.0 s of audio a second, 0.0 % waiting for data, 0 seconds left"
        );
        numbers.add(&line(1, 4.0));
        let expected = "loss 4.0000, rate 2.50e-4, 20.0 s of audio a second, 25.0 % waiting for data, 18 seconds left";
        assert_eq!(numbers.shown(10), expected);
        numbers.add(&line(2, f64::NAN));
        numbers.add(&line(3, 2.0));
        let shown = numbers.shown(10);
        assert!(shown.starts_with("loss 2.9899, ") && shown.ends_with("14 seconds left, 1 steps skipped"), "{shown}");
        (4..2000).for_each(|step| numbers.add(&line(step, 1.0)));
        assert!(numbers.shown(10).starts_with("loss 1.0000, ") && numbers.recent.len() == RECENT_STEPS);
    }

    #[test]
    fn an_observer_stops_when_it_was_asked() {
        let stop = StopRequests::default();
        let mut progress = TrainingProgress::new(stop.clone(), None);
        progress.begins("muq", 10);
        progress.resumed(3, &[SkippedCheckpoint { path: "step-4".into(), reason: "cut short".into() }]);
        progress.stepped(&line(4, 1.0));
        progress.stepped(&line(5, f64::NAN));
        assert!(!progress.wants_to_stop() && !progress.was_stopped());
        assert!(progress.line().starts_with("muq: step 5 of 10: loss 1.0000, "), "{}", progress.line());
        stop.is_requested.store(true, Ordering::SeqCst);
        assert!(progress.wants_to_stop() && progress.was_stopped());
        progress.finish();
    }

    /// Not a test of its own: [`signals_stop_and_then_end_the_program`] runs it as another program.
    #[test]
    #[ignore = "is run by another test"]
    fn a_program_that_is_stopped() {
        let mut progress = TrainingProgress::new(StopRequests::catch().unwrap(), None);
        println!("ready");
        let start = Instant::now();
        while !progress.wants_to_stop() && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // The message is said by another thread.
        std::thread::sleep(4 * BETWEEN_LOOKS);
        println!("asked");
        std::thread::sleep(Duration::from_secs(60));
    }

    #[cfg(unix)]
    #[test]
    fn signals_stop_and_then_end_the_program() {
        use std::io::{BufRead as _, BufReader, Read as _};

        let name = "training_progress::tests::a_program_that_is_stopped";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", name, "--nocapture"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut signal = |name: &str, after: &str| {
            lines.find(|line| line.ends_with(after)).unwrap();
            assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
        };
        signal("-TERM", "ready");
        signal("-INT", "asked");
        assert_eq!(child.wait().unwrap().code(), Some(INTERRUPTED));
        let mut messages = String::new();
        child.stderr.take().unwrap().read_to_string(&mut messages).unwrap();
        assert!(messages.contains("saving a checkpoint; press again to stop at once"), "{messages}");
    }
}
