//! Whether a file is whole, and when its ticks are.

use midly::{Smf, Timing};

/// Shortest and longest quarter note, in microseconds: 6000 and about 3.6 to the minute.
const QUARTER_MICROSECONDS: (u32, u32) = (10_000, 0xFF_FFFF);

/// Every chunk is as long as it says, and all tracks are there: the parser would otherwise take what there is.
pub(super) fn check_chunks(bytes: &[u8]) -> Result<(), String> {
    let header = bytes.get(..14).filter(|header| header.starts_with(b"MThd"));
    let Some(header) = header else { return Err("it does not begin with a header (MThd)".into()) };
    let announced = usize::from(u16::from_be_bytes([header[10], header[11]]));
    if header[12] & 0x80 == 0 && header[12] == 0 && header[13] == 0 {
        return Err("its quarter note has 0 ticks".into());
    }
    if header[12] & 0x80 != 0 && header[13] == 0 {
        return Err("its frames have 0 ticks".into());
    }
    let (mut place, mut found) = (0, 0);
    while place + 8 <= bytes.len() {
        let length = bytes[place + 4..place + 8].iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let end = place + 8 + length;
        if end > bytes.len() {
            return Err(format!("it is cut off: a chunk should end at byte {end}, the file has {}", bytes.len()));
        }
        found += usize::from(bytes[place..].starts_with(b"MTrk"));
        place = end;
    }
    if found < announced { Err(format!("it is cut off: {found} of {announced} tracks are there")) } else { Ok(()) }
}

/// Ticks to seconds.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// Tick, seconds at it, and seconds of a tick from there on.
    changes: Vec<(u64, f64, f64)>,
    /// `None` where ticks count frames of a film.
    pub(super) ticks_per_quarter: Option<u64>,
}

impl Clock {
    pub(super) fn new(file: &Smf, tempi: &[(u64, u32)]) -> Result<Self, String> {
        let ticks = match file.header.timing {
            Timing::Metrical(ticks) => u64::from(ticks.as_int()),
            Timing::Timecode(frames, ticks) => {
                let seconds = 1.0 / (f64::from(frames.as_f32()) * f64::from(ticks));
                return Ok(Self { changes: vec![(0, 0.0, seconds)], ticks_per_quarter: None });
            }
        };
        let per_tick = |microseconds: u32| f64::from(microseconds) * 1e-6 / ticks as f64;
        let mut changes = vec![(0, 0.0, per_tick(500_000))];
        for &(tick, microseconds) in tempi {
            if !(QUARTER_MICROSECONDS.0..=QUARTER_MICROSECONDS.1).contains(&microseconds) {
                return Err(format!(
                    "a quarter note of {microseconds} microseconds at tick {tick}: expected {} to {}",
                    QUARTER_MICROSECONDS.0, QUARTER_MICROSECONDS.1
                ));
            }
            let (last_tick, last_seconds, last_per_tick) = changes[changes.len() - 1];
            let seconds = last_seconds + (tick - last_tick) as f64 * last_per_tick;
            changes.push((tick, seconds, per_tick(microseconds)));
        }
        Ok(Self { changes, ticks_per_quarter: Some(ticks) })
    }

    pub(super) fn seconds(&self, tick: u64) -> f64 {
        let place = self.changes.partition_point(|change| change.0 <= tick).max(1) - 1;
        let (from, seconds, per_tick) = self.changes[place];
        seconds + (tick - from) as f64 * per_tick
    }
}
