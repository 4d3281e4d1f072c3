//! A small room: parallel combs and allpasses in series (Schroeder, JAES 10(3), 1962; the delays are those that Moorer
//! and others use, made coprime).

use super::super::Stereo;

const COMBS_SECONDS: [f64; 6] = [0.0297, 0.0371, 0.0411, 0.0437, 0.0313, 0.0343];
const ALLPASSES_SECONDS: [f64; 2] = [0.0051, 0.0017];
/// The right channel's delays are longer by this.
const SPREAD_SECONDS: f64 = 0.0006;
const FEEDBACK: f32 = 0.78;
const DAMPING: f32 = 0.35;
const LEVEL: f32 = 0.35;

pub(super) struct Reverb {
    sample_rate: u32,
}

impl Reverb {
    pub(super) fn new(sample_rate: u32) -> Self {
        Self { sample_rate }
    }

    /// Adds the room's answer to `send`.
    pub(super) fn add(&self, send: &[f32], stereo: &mut Stereo) {
        self.add_channel(send, 0.0, &mut stereo.left);
        self.add_channel(send, SPREAD_SECONDS, &mut stereo.right);
    }

    fn add_channel(&self, send: &[f32], spread: f64, channel: &mut [f32]) {
        let delay = |seconds: f64| vec![0.0_f32; ((seconds + spread) * f64::from(self.sample_rate)) as usize | 1];
        let mut wet = vec![0.0_f32; send.len()];
        for seconds in COMBS_SECONDS {
            let mut line = delay(seconds);
            let (mut place, mut damped) = (0, 0.0_f32);
            for (wet, &input) in wet.iter_mut().zip(send) {
                let output = line[place];
                damped = output + DAMPING * (damped - output);
                // What is too small to be heard would make the processor slow.
                line[place] = input + FEEDBACK * if damped.abs() < 1e-12 { 0.0 } else { damped };
                place = if place + 1 == line.len() { 0 } else { place + 1 };
                *wet += output;
            }
        }
        for seconds in ALLPASSES_SECONDS {
            let mut line = delay(seconds);
            let mut place = 0;
            for wet in &mut wet {
                let delayed = line[place];
                let fed = *wet + 0.5 * if delayed.abs() < 1e-12 { 0.0 } else { delayed };
                line[place] = fed;
                place = if place + 1 == line.len() { 0 } else { place + 1 };
                *wet = delayed - 0.5 * fed;
            }
        }
        for (out, wet) in channel.iter_mut().zip(&wet) {
            *out += LEVEL * wet;
        }
    }
}
