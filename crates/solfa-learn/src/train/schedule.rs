//! Numbers that change with the step: the learning rate, weight decay, an EMA's momentum, temperatures.
//!
//! `step` counts updates. A trainer asks for the first update's values with step 1, so that a warm-up from zero does not
//! begin with an update that changes nothing.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// A number that goes from one value to another and stays there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The same at every step.
    Constant {
        /// The value.
        value: f64,
    },
    /// In a straight line: data2vec's EMA momentum (Baevski et al. 2022, arXiv:2202.03555, sec. 3.2).
    Linear {
        /// The value at step 0.
        from: f64,
        /// The value from step `steps` on.
        to: f64,
        /// Where it is reached.
        steps: u64,
    },
    /// Along half a cosine, slowly at both ends: BYOL's momentum (Grill et al. 2020, arXiv:2006.07733, sec. 3.3), DINO's
    /// weight decay, and the teacher's temperature of the multi-view study.
    Cosine {
        /// The value at step 0.
        from: f64,
        /// The value from step `steps` on.
        to: f64,
        /// Where it is reached.
        steps: u64,
    },
}

impl Schedule {
    /// The value at a step.
    pub fn at(&self, step: u64) -> f64 {
        match *self {
            Self::Constant { value } => value,
            Self::Linear { to, steps, .. } | Self::Cosine { to, steps, .. } if step >= steps => to,
            Self::Linear { from, to, steps } => from + (to - from) * share(step, steps),
            Self::Cosine { from, to, steps } => to + (from - to) * half_cosine(share(step, steps)),
        }
    }

    /// Whether all of its numbers are finite.
    ///
    /// # Errors
    /// The one that is not.
    pub fn check(&self) -> Result<(), ScheduleError> {
        match *self {
            Self::Constant { value } => finite("value", value),
            Self::Linear { from, to, .. } | Self::Cosine { from, to, .. } => {
                finite("from", from).and_then(|()| finite("to", to))
            }
        }
    }
}

/// A learning rate that rises to its peak in a straight line, and what comes then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningRateSchedule {
    /// The highest rate.
    pub peak: f64,
    /// The step at which it is reached; 0 for no warm-up.
    #[serde(default)]
    pub warmup_steps: u64,
    /// The rate at step 0, where there is a warm-up.
    #[serde(default)]
    pub warmup_from: f64,
    /// What comes after the warm-up.
    #[serde(default)]
    pub decay: Decay,
}

/// How a learning rate falls after its warm-up. Steps are counted from the start of training, warm-up included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Decay {
    /// It stays at its peak.
    #[default]
    None,
    /// By a power of the share of steps that is left, as fairseq's `polynomial_decay`: HuBERT, MuQ, MERT (power 1).
    Polynomial {
        /// The step at which the floor is reached.
        until: u64,
        /// The rate from there on.
        #[serde(default)]
        floor: f64,
        /// The power; 1 is a straight line.
        #[serde(default = "one")]
        power: f64,
    },
    /// Along half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts).
    Cosine {
        /// The step at which the floor is reached.
        until: u64,
        /// The rate from there on.
        #[serde(default)]
        floor: f64,
    },
    /// At its peak for a while, then by the same factor at every step, as fairseq's `tri_stage`: data2vec.
    Exponential {
        /// The last step at the peak.
        from: u64,
        /// The step at which the floor is reached.
        until: u64,
        /// The rate from there on; above 0.
        floor: f64,
    },
}

fn one() -> f64 {
    1.0
}

impl LearningRateSchedule {
    /// The rate at a step.
    pub fn at(&self, step: u64) -> f64 {
        let Self { peak, warmup_steps, warmup_from, decay } = *self;
        if step < warmup_steps {
            return warmup_from + (peak - warmup_from) * share(step, warmup_steps);
        }
        let left = |from: u64, until: u64| 1.0 - share(step - from, until - from);
        match decay {
            Decay::None => peak,
            Decay::Polynomial { until, floor, .. }
            | Decay::Cosine { until, floor }
            | Decay::Exponential { until, floor, .. }
                if step >= until =>
            {
                floor
            }
            Decay::Polynomial { until, floor, power } => floor + (peak - floor) * left(warmup_steps, until).powf(power),
            Decay::Cosine { until, floor } => floor + (peak - floor) * half_cosine(1.0 - left(warmup_steps, until)),
            Decay::Exponential { from, .. } if step <= from => peak,
            Decay::Exponential { from, until, floor } => peak * (floor / peak).powf(1.0 - left(from, until)),
        }
    }

    /// Whether its numbers make sense.
    ///
    /// # Errors
    /// The first one that does not.
    pub fn check(&self) -> Result<(), ScheduleError> {
        let Self { peak, warmup_steps, warmup_from, decay } = *self;
        at_least_zero("peak", peak)?;
        at_least_zero("warmup_from", warmup_from)?;
        let (first, until, floor) = match decay {
            Decay::None => return Ok(()),
            Decay::Polynomial { until, floor, power } => {
                at_least_zero("decay.power", power)?;
                (warmup_steps, until, floor)
            }
            Decay::Cosine { until, floor } => (warmup_steps, until, floor),
            Decay::Exponential { from, until, floor } => {
                let expected = "a number above 0 (the rate falls by a factor, which never reaches 0)";
                if floor <= 0.0 || peak <= 0.0 {
                    return Err(ScheduleError { name: "decay.floor", expected: expected.into(), found: floor });
                }
                let expected = format!("the end of the warm-up, {warmup_steps}, or a later step");
                if from < warmup_steps {
                    return Err(ScheduleError { name: "decay.from", expected, found: from as f64 });
                }
                (from, until, floor)
            }
        };
        at_least_zero("decay.floor", floor)?;
        if until <= first {
            let expected = format!("a step after {first}, where the rate begins to fall");
            return Err(ScheduleError { name: "decay.until", expected, found: until as f64 });
        }
        Ok(())
    }
}

/// A schedule with a number that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{name}: expected {expected}, found {found}")]
pub struct ScheduleError {
    /// The field.
    pub name: &'static str,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: f64,
}

fn finite(name: &'static str, found: f64) -> Result<(), ScheduleError> {
    if found.is_finite() { Ok(()) } else { Err(ScheduleError { name, expected: "a number".into(), found }) }
}

fn at_least_zero(name: &'static str, found: f64) -> Result<(), ScheduleError> {
    if found.is_finite() && found >= 0.0 {
        return Ok(());
    }
    Err(ScheduleError { name, expected: "a number that is not negative".into(), found })
}

/// How far a step has come; `steps` is more than `step`.
fn share(step: u64, steps: u64) -> f64 {
    step as f64 / steps as f64
}

/// From 1 at a share of 0 to 0 at a share of 1.
fn half_cosine(share: f64) -> f64 {
    0.5 * (1.0 + (PI * share).cos())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use solfa_signal::testing::assert_golden;

    use super::*;

    #[track_caller]
    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1e-3), "{found} is not {expected}");
    }

    /// The schedules of the multi-view study's clustering objective, by its authors' code.
    #[test]
    fn golden_temperatures() {
        #[derive(Deserialize)]
        struct Case {
            teacher_temp: Vec<f64>,
            student_temp: Vec<f64>,
            n_epochs: u64,
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/multiview-losses/schedules.json");
        let case: Case = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
        assert_eq!((case.n_epochs, case.teacher_temp.len(), case.student_temp.len()), (20, 20, 20));
        let compare = |what: &str, schedule: Schedule, expected: &[f64]| {
            let [found, expected]: [Vec<f32>; 2] = [
                (0..case.n_epochs).map(|epoch| schedule.at(epoch) as f32).collect(),
                expected.iter().map(|&value| value as f32).collect(),
            ];
            assert_golden(what, &found, &expected, 1e-6);
        };
        compare("teacher", Schedule::Cosine { from: 0.02, to: 0.04, steps: 10 }, &case.teacher_temp);
        compare("student", Schedule::Constant { value: 0.1 }, &case.student_temp);
    }

    #[test]
    fn linear_and_cosine_reach_their_ends_and_stay() {
        let linear = Schedule::Linear { from: 0.999, to: 0.9999, steps: 30_000 };
        assert_eq!((linear.at(0), linear.at(30_000), linear.at(u64::MAX)), (0.999, 0.9999, 0.9999));
        assert_near(linear.at(10_000), 0.9993);
        let cosine = Schedule::Cosine { from: 0.996, to: 1.0, steps: 8 };
        assert_eq!((cosine.at(0), cosine.at(8)), (0.996, 1.0));
        assert_near(cosine.at(4), 0.998);
        // cos(pi / 4) is the square root of a half.
        assert_near(cosine.at(2), 1.0 - 0.002 * (1.0 + 0.5_f64.sqrt()));
        let none = Schedule::Cosine { from: 0.5, to: 0.25, steps: 0 };
        assert_eq!((none.at(0), none.at(1)), (0.25, 0.25));
    }

    /// fairseq's `polynomial_decay` with `lr` 5e-4, `warmup_updates` 32,000, `total_num_update` 400,000: HuBERT's, MuQ's.
    #[test]
    fn polynomial_decay_is_fairseqs() {
        let decay = Decay::Polynomial { until: 400_000, floor: 0.0, power: 1.0 };
        let rate = LearningRateSchedule { peak: 5e-4, warmup_steps: 32_000, warmup_from: 0.0, decay };
        for (step, expected) in [
            (0, 0.0),
            (1, 5e-4 / 32_000.0),
            (16_000, 2.5e-4),
            (32_000, 5e-4),
            (216_000, 2.5e-4),
            (399_999, 5e-4 / 368_000.0),
            (400_000, 0.0),
            (500_000, 0.0),
        ] {
            assert_near(rate.at(step), expected);
        }
        let decay = Decay::Polynomial { until: 110, floor: 0.1, power: 2.0 };
        let rate = LearningRateSchedule { peak: 1.1, warmup_steps: 10, warmup_from: 0.0, decay };
        // (1 - 25 / 100) squared is 0.5625.
        assert_near(rate.at(35), 0.1 + 0.5625);
    }

    #[test]
    fn cosine_decay_falls_from_peak_to_floor() {
        let decay = Decay::Cosine { until: 90, floor: 1e-7 };
        let rate = LearningRateSchedule { peak: 1e-3, warmup_steps: 10, warmup_from: 1e-7, decay };
        assert_near(rate.at(0), 1e-7);
        assert_near(rate.at(5), (1e-3 + 1e-7) / 2.0);
        assert_near(rate.at(10), 1e-3);
        assert_near(rate.at(50), (1e-3 + 1e-7) / 2.0);
        assert_near(rate.at(30), 1e-7 + (1e-3 - 1e-7) * 0.5 * (1.0 + 0.5_f64.sqrt()));
        assert_eq!(rate.at(90), 1e-7);
        let constant = LearningRateSchedule { peak: 1e-4, warmup_steps: 0, warmup_from: 0.0, decay: Decay::None };
        assert_eq!((constant.at(0), constant.at(1 << 40)), (1e-4, 1e-4));
    }

    /// fairseq's `tri_stage` with a phase ratio of 0.03, 0.9, 0.07 and scales of 0.01: data2vec's.
    #[test]
    fn exponential_decay_is_the_last_of_three_stages() {
        let decay = Decay::Exponential { from: 930, until: 1000, floor: 5e-6 };
        let rate = LearningRateSchedule { peak: 5e-4, warmup_steps: 30, warmup_from: 5e-6, decay };
        for (step, expected) in
            [(0, 5e-6), (15, (5e-4 + 5e-6) / 2.0), (30, 5e-4), (930, 5e-4), (965, 5e-5), (1000, 5e-6), (2000, 5e-6)]
        {
            assert_near(rate.at(step), expected);
        }
    }

    #[test]
    fn a_schedule_is_read_from_its_text_and_unknown_keys_are_errors() {
        let read = |text: &str| toml::from_str::<LearningRateSchedule>(text);
        let found = read("peak = 5e-4\nwarmup_steps = 10\ndecay = { kind = \"polynomial\", until = 400 }").unwrap();
        let decay = Decay::Polynomial { until: 400, floor: 0.0, power: 1.0 };
        assert_eq!(found, LearningRateSchedule { peak: 5e-4, warmup_steps: 10, warmup_from: 0.0, decay });
        assert!(toml::to_string(&found).is_ok_and(|text| read(&text) == Ok(found)));
        assert_eq!(read("peak = 1e-3").unwrap().decay, Decay::None);
        for wrong in [
            "peak = 1e-3\nwarmup = 10",
            "peak = 1e-3\ndecay = { kind = \"cosine\", until = 9, power = 2.0 }",
            "peak = 1e-3\ndecay = { kind = \"step\" }",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let wrong = toml::from_str::<Schedule>("kind = \"linear\"\nfrom = 0.0\nto = 1.0\nsteps = 3\npower = 2.0");
        assert!(wrong.is_err());
    }

    #[test]
    fn numbers_that_make_no_sense_are_named() {
        let rate = |peak, warmup_steps, decay| {
            let schedule = LearningRateSchedule { peak, warmup_steps, warmup_from: 0.0, decay };
            schedule.check().unwrap_err().to_string()
        };
        assert_eq!(rate(f64::NAN, 0, Decay::None), "peak: expected a number that is not negative, found NaN");
        assert_eq!(
            rate(1e-3, 100, Decay::Cosine { until: 50, floor: 0.0 }),
            "decay.until: expected a step after 100, where the rate begins to fall, found 50"
        );
        assert!(rate(1e-3, 0, Decay::Exponential { from: 1, until: 5, floor: 0.0 }).starts_with("decay.floor"));
        assert!(rate(1e-3, 9, Decay::Exponential { from: 1, until: 50, floor: 1e-6 }).starts_with("decay.from"));
        let infinite = Schedule::Linear { from: 0.0, to: f64::INFINITY, steps: 3 };
        assert_eq!(infinite.check().unwrap_err().to_string(), "to: expected a number, found inf");
    }
}
