//! Going to a place in a file without decoding all that stands before it.
//!
//! MP3 frames are walked through by their headers, which is exact and reads the file only. WAV, AIFF, FLAC and Ogg
//! Vorbis are left to Symphonia's seeking. Everything else is decoded from its start.

use symphonia::core::codecs::audio::well_known::{CODEC_ID_FLAC, CODEC_ID_VORBIS};
use symphonia::core::formats::well_known::{FORMAT_ID_AIFF, FORMAT_ID_FLAC, FORMAT_ID_OGG, FORMAT_ID_WAVE};
use symphonia::core::formats::{SeekMode, SeekTo};
use symphonia::core::units::Timestamp;

use super::{AudioError, NativeSource, Packets, Refusal, Step, Trim, describe, guarded, mpeg_parameters, new_decoder};

/// MP3 frames that are decoded and dropped in front of the first that is wanted. A frame may use bits of up to 511 bytes
/// before it (those of MPEG 2: 255), and its sound depends on the two frames before it; the shortest frames of MPEG 1
/// have 96 bytes, and those of MPEG 2 24, of which 11 are bits that a later one can use.
const WARM_UP_FRAMES: u64 = 32;

impl NativeSource {
    /// [`MonoSource::pass_over`](crate::audio::MonoSource::pass_over), before the first block.
    pub(super) fn seek(&mut self, num_samples: u64) -> Result<u64, AudioError> {
        if self.num_samples > 0 || !self.pending.is_empty() {
            return Ok(0);
        }
        match self.packets {
            Packets::Mpeg(_) => self.walk_frames(num_samples),
            Packets::Container(_) => {
                // Little would be saved, and much could be decoded twice.
                if num_samples < self.sample_rate.into() {
                    return Ok(0);
                }
                if self.seek_container(num_samples) {
                    self.num_samples = num_samples;
                    return Ok(num_samples);
                }
                let path = self.path.clone();
                *self = Self::open(&path).map_err(|refusal| match refusal {
                    Refusal::Error(error) => error,
                    Refusal::Foreign(format) => AudioError::Unsupported { path, reason: format },
                })?;
                Ok(0)
            }
        }
    }

    /// Walks through MP3 frames by their headers.
    fn walk_frames(&mut self, num_samples: u64) -> Result<u64, AudioError> {
        let Packets::Mpeg(packets) = &mut self.packets else { return Ok(0) };
        let first = packets.frames.first();
        let frame_samples = u64::from(first.samples);
        let wanted = self.trim.length.map_or(num_samples, |length| num_samples.min(length));
        let distance = self.trim.skip.saturating_add(wanted);
        let target_frame = distance / frame_samples;
        let num_walked = target_frame.saturating_sub(WARM_UP_FRAMES);
        let mut walked = 0;
        let mut has_ended = false;
        while walked < num_walked && !has_ended {
            let seconds = (walked * frame_samples) as f64 / f64::from(first.sample_rate);
            match packets.step(&self.path, seconds, &mut self.trim)? {
                Step::End => has_ended = true,
                Step::Packet(_) | Step::NewDecoder(..) => walked += 1,
            }
        }
        if walked == 0 && !has_ended {
            return Ok(0);
        }
        let passed = if has_ended {
            (walked * frame_samples).saturating_sub(self.trim.skip).min(wanted)
        } else {
            packets.forgiven_frames = packets.forgiven_frames.max(target_frame);
            wanted
        };
        self.trim.skip = if has_ended { 0 } else { distance - walked * frame_samples };
        self.trim.length = self.trim.length.map(|length| length.saturating_sub(passed));
        self.num_samples = passed;
        self.decoder = new_decoder(&mpeg_parameters(&first)).map_err(|error| describe(&self.path, 0.0, &error))?;
        Ok(passed)
    }

    /// Whether sample `target` of the file is what comes next now. If not, the source is in no usable state.
    fn seek_container(&mut self, target: u64) -> bool {
        let codec = self.decoder.codec_params().codec;
        let Packets::Container(packets) = &mut self.packets else { return false };
        let is_seekable = match packets.format.format_info().format {
            FORMAT_ID_WAVE | FORMAT_ID_AIFF => true,
            FORMAT_ID_FLAC => codec == CODEC_ID_FLAC,
            FORMAT_ID_OGG => codec == CODEC_ID_VORBIS,
            _ => false,
        };
        // What a header promises is not believed here where nothing else relies on it.
        let is_inside = packets.expected.is_some_and(|expected| target < expected);
        let Ok(timestamp) = i64::try_from(packets.first_position.saturating_add(target)) else { return false };
        if !is_seekable || !is_inside || !packets.ahead.is_empty() || self.trim != Trim::default() {
            return false;
        }
        let to = SeekTo::Timestamp { ts: Timestamp::new(timestamp), track_id: packets.track_id };
        if guarded(|| packets.format.seek(SeekMode::Accurate, to)).is_err() {
            return false;
        }
        self.decoder.reset();
        loop {
            let Packets::Container(packets) = &mut self.packets else { return false };
            let packet = match guarded(|| packets.format.next_packet()) {
                Ok(Some(packet)) if packet.track_id == packets.track_id => packet,
                Ok(Some(_)) => continue,
                _ => return false,
            };
            let position = packet.pts.get() - packets.first_position as i64;
            let Ok(mono) = self.decode(&packet) else { return false };
            // The first packet after a seek may only prepare the next.
            if mono.is_empty() {
                continue;
            }
            let Some(surplus) = u64::try_from(position).ok().and_then(|position| target.checked_sub(position)) else {
                return false;
            };
            if surplus < mono.len() as u64 {
                if let Packets::Container(packets) = &mut self.packets {
                    packets.decoded = target - surplus + mono.len() as u64;
                }
                self.pending = mono[surplus as usize..].to_vec();
                return true;
            }
        }
    }
}
