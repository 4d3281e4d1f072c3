//! Packets of a file, one after the other, and whether all that its header promises came.

use std::collections::VecDeque;
use std::path::Path;

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_MP3;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::well_known::{FORMAT_ID_AIFF, FORMAT_ID_FLAC, FORMAT_ID_OGG, FORMAT_ID_WAVE};
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

use super::{AudioError, Trim, describe, guarded, is_end_of_file, mpeg};

/// Where packets come from.
pub(super) enum Packets {
    Mpeg(MpegPackets),
    Container(ContainerPackets),
}

/// The frames of an MP3 file.
pub(super) struct MpegPackets {
    pub(super) frames: mpeg::Frames,
    pub(super) channels: u8,
    pub(super) num_frames: u64,
    /// Frames from the start on that may be damaged.
    pub(super) forgiven_frames: u64,
}

/// The packets of a container that Symphonia reads.
pub(super) struct ContainerPackets {
    pub(super) format: Box<dyn FormatReader>,
    pub(super) track_id: u32,
    /// Packets that were read in advance.
    pub(super) ahead: VecDeque<Packet>,
    /// Samples that the header of this part of the file promises, where that can be relied on.
    pub(super) expected: Option<u64>,
    /// The time of the first sample, in samples.
    pub(super) first_position: u64,
    /// Whether the header says that the sound goes on to the end of the file.
    pub(super) ends_with_file: bool,
    /// Samples decoded of this part of the file. Only chained Ogg files have several parts.
    pub(super) decoded: u64,
}

/// What there is to be decoded next.
pub(super) enum Step {
    /// A packet that begins where the last one ended.
    Packet(Packet),
    /// A packet that a new decoder is to decode.
    NewDecoder(AudioCodecParameters, Option<Packet>),
    /// The end.
    End,
}

impl MpegPackets {
    pub(super) fn step(&mut self, path: &Path, seconds: f64, trim: &mut Trim) -> Result<Step, AudioError> {
        let damaged = |reason| AudioError::Damaged { path: path.to_path_buf(), seconds, reason };
        let next = self.frames.next().map_err(|source| AudioError::Io { path: path.to_path_buf(), source })?;
        let expected = self.frames.tag().and_then(|tag| tag.frames);
        match next {
            mpeg::Next::Frame(header, bytes) => {
                self.num_frames += 1;
                if expected.is_some_and(|expected| self.num_frames > expected) {
                    // The tag is older than the file, and what it says of the end is not true of this one.
                    trim.length = None;
                }
                let packet = Packet::new(0, Timestamp::ZERO, Duration::new(header.samples.into()), bytes);
                if header.channels == self.channels {
                    return Ok(Step::Packet(packet));
                }
                self.channels = header.channels;
                Ok(Step::NewDecoder(mpeg_parameters(&header), Some(packet)))
            }
            mpeg::Next::End { inside_frame } => match expected {
                Some(expected) if self.num_frames + u64::from(!inside_frame) < expected => {
                    let first = self.frames.first();
                    let length = |frames: u64| frames as f64 * f64::from(first.samples) / f64::from(first.sample_rate);
                    Err(damaged(format!(
                        "the header promises {expected} MP3 frames ({:.2} s), and the file holds {} ({:.2} s)",
                        length(expected),
                        self.num_frames,
                        length(self.num_frames)
                    )))
                }
                _ => Ok(Step::End),
            },
            mpeg::Next::Gap { position, bytes } => {
                Err(damaged(format!("{bytes} bytes from byte {position} on are no MP3 frame, and more frames follow")))
            }
            mpeg::Next::Change(header) => {
                Err(rate_changes(path, seconds, self.frames.first().sample_rate, header.sample_rate))
            }
        }
    }
}

impl ContainerPackets {
    pub(super) fn step(&mut self, path: &Path, seconds: f64, sample_rate: u32) -> Result<Step, AudioError> {
        if let Some(packet) = self.ahead.pop_front() {
            return Ok(Step::Packet(packet));
        }
        loop {
            match guarded(|| self.format.next_packet()) {
                Ok(Some(packet)) if packet.track_id == self.track_id => return Ok(Step::Packet(packet)),
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.check_length(path, seconds, sample_rate)?;
                    return Ok(Step::End);
                }
                Err(SymphoniaError::ResetRequired) => {
                    self.check_length(path, seconds, sample_rate)?;
                    let track = self.format.default_track(TrackType::Audio).cloned();
                    let Some((id, num_frames, parameters)) = track.and_then(audio_track) else {
                        return Err(AudioError::Damaged {
                            path: path.to_path_buf(),
                            seconds,
                            reason: "another part of the file begins, and it holds no audio track".into(),
                        });
                    };
                    self.track_id = id;
                    self.expected = expected_samples(self.format.as_ref(), &parameters, num_frames);
                    self.decoded = 0;
                    return Ok(Step::NewDecoder(parameters, None));
                }
                Err(error) => {
                    self.check_length(path, seconds, sample_rate)?;
                    if self.ends_with_file && is_end_of_file(&error) {
                        return Ok(Step::End);
                    }
                    return Err(describe(path, seconds, &error));
                }
            }
        }
    }

    /// Checks at its end that a part of the file held what its header promised.
    fn check_length(&self, path: &Path, seconds: f64, sample_rate: u32) -> Result<(), AudioError> {
        match self.expected {
            Some(expected) if self.decoded < expected => {
                let length = |samples: u64| samples as f64 / f64::from(sample_rate);
                Err(AudioError::Damaged {
                    path: path.to_path_buf(),
                    seconds,
                    reason: format!(
                        "the header promises {expected} samples ({:.2} s), and the file holds {} ({:.2} s)",
                        length(expected),
                        self.decoded,
                        length(self.decoded)
                    ),
                })
            }
            _ => Ok(()),
        }
    }
}

/// The packets that tell HE-AAC from AAC-LC.
pub(super) fn read_ahead(format: &mut dyn FormatReader, track_id: u32) -> VecDeque<Packet> {
    /// Enough that the guess for each packet may be wrong now and then.
    const NUM_PACKETS: usize = 24;
    let mut packets = VecDeque::new();
    while packets.len() < NUM_PACKETS {
        // An error here comes again, or the end of the file does, when these packets are used up.
        match guarded(|| format.next_packet()) {
            Ok(Some(packet)) if packet.track_id == track_id => packets.push_back(packet),
            Ok(Some(_)) => {}
            _ => break,
        }
    }
    packets
}

pub(super) fn audio_track(track: Track) -> Option<(u32, Option<u64>, AudioCodecParameters)> {
    let parameters = track.codec_params.as_ref()?.audio()?.clone();
    Some((track.id, track.num_frames, parameters))
}

/// The number of samples that a file promises, where it is no estimate.
pub(super) fn expected_samples(
    format: &dyn FormatReader,
    parameters: &AudioCodecParameters,
    num_frames: Option<u64>,
) -> Option<u64> {
    let is_exact = match format.format_info().format {
        FORMAT_ID_FLAC | FORMAT_ID_OGG => true,
        // Block codecs in these containers fill up their last block.
        FORMAT_ID_WAVE | FORMAT_ID_AIFF => parameters.frames_per_block.is_none_or(|frames| frames == 1),
        _ => false,
    };
    num_frames.filter(|_| is_exact)
}

pub(super) fn mpeg_parameters(header: &mpeg::Header) -> AudioCodecParameters {
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(CODEC_ID_MP3).with_sample_rate(header.sample_rate);
    parameters
}

pub(super) fn rate_changes(path: &Path, seconds: f64, expected: u32, found: u32) -> AudioError {
    let reason = format!("the sample rate changes from {expected} Hz to {found} Hz");
    AudioError::Damaged { path: path.to_path_buf(), seconds, reason }
}
