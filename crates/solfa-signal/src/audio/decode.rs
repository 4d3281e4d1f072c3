//! Decoding.

mod packets;
mod seek;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use symphonia::core::codecs::audio::well_known::profiles::{CODEC_PROFILE_AAC_HE, CODEC_PROFILE_AAC_HE_V2};
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_AC3, CODEC_ID_DCA, CODEC_ID_EAC3, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3, CODEC_ID_OPUS,
    CODEC_ID_SPEEX, CODEC_ID_WAVPACK, CODEC_ID_WMA,
};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::well_known::{FORMAT_ID_OGG, FORMAT_ID_WAVE};
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use self::packets::{
    ContainerPackets, MpegPackets, Packets, Step, expected_samples, mpeg_parameters, rate_changes, read_ahead,
};
use super::ffmpeg::{FfmpegSource, find_ffmpeg};
use super::mixdown::mix_down;
use super::sniff::{Content, sniff};
use super::{AudioError, MonoSource, Waveform, aac, mp4, mpeg, ogg};

/// Opens a recording to be decoded as it is read, in memory that does not grow with its length.
///
/// What comes out is one channel at the file's own sample rate: the mean of its channels, in single precision. Of a
/// file with several audio tracks, the default one, or else the first, is decoded.
///
/// # Formats
/// The file's content decides, never its name. WAV (integers of 8 to 32 bits, floats of 32 and 64 bits, ADPCM, A-law,
/// µ-law), AIFF, CAF, FLAC, MP3, Ogg Vorbis, AAC-LC of 1 or 2 channels (MP4 or ADTS), ALAC, and those codecs in
/// Matroska are decoded here. Other known formats, among them Opus, HE-AAC, WMA, MPEG layers 1 and 2, AAC of more than
/// 2 channels, and the sound of videos, are left to the `ffmpeg` program on the PATH, and are [`AudioError::Unsupported`]
/// without one. What is decoded here is decoded here whether or not there is an `ffmpeg`.
///
/// # Encoder delay
/// What an encoder put before and after the music is removed where the file says how much: MP3 by the LAME tag, Ogg
/// by its granule positions, MP4 by an edit list of one part. An MP3 without that tag, and AAC in ADTS, keep it.
///
/// # Damage
/// A file is decoded whole or it is an error; it never comes out silently shorter.
/// - WAV, AIFF, FLAC and Ogg say how much sound there is, and MP3 files with a Xing, Info or VBRI tag do. A file with
///   less is [`AudioError::Damaged`], with both lengths; up to there, blocks are handed out as usual. A WAV whose
///   header says that its length is unknown (2³²-1 bytes) ends where the file ends.
/// - **An MP3 without such a tag that was cut off cannot be told from a short one** and decodes to its last whole frame;
///   neither can AAC in ADTS, nor a tagged MP3 that lacks exactly its last frame, since some encoders count one too many.
/// - A packet that does not decode, or bytes in the midst of an MP3 that are no frame, are [`AudioError::Damaged`].
/// - Harmless and accepted: up to 256 KiB of junk before the first MP3 frame, tags anywhere between frames, anything
///   after the last; damage in the first two MP3 frames of a file, which become silence of the same length, as the
///   cutting of files without re-encoding leaves them; more sound than the header promised (all of it is decoded).
///
/// # Errors
/// Any [`AudioError`] except [`AudioError::Resample`]. A file that holds no sound is [`AudioError::NoSound`], and a
/// sample that is NaN or infinite [`AudioError::NonFinite`]. Errors may come here or from
/// [`next_block`](MonoSource::next_block), wherever they are met.
pub fn open(path: &Path) -> Result<Box<dyn MonoSource>, AudioError> {
    open_with(path, find_ffmpeg)
}

/// Decodes a whole recording into memory. Everything that [`open`] says holds here.
///
/// # Errors
/// As for [`open`].
pub fn read(path: &Path) -> Result<Waveform, AudioError> {
    /// Samples that a hint may reserve memory for: a header can promise anything.
    const MAXIMUM_RESERVED: u64 = 1 << 24;
    let mut source = open(path)?;
    let reserved = source.num_samples_hint().unwrap_or(0).min(MAXIMUM_RESERVED);
    let mut samples = Vec::with_capacity(reserved as usize);
    while let Some(block) = source.next_block()? {
        samples.extend_from_slice(block.samples());
    }
    Ok(Waveform::new(samples, source.sample_rate()))
}

/// [`open`], with an `ffmpeg` program that is looked for only where it is needed.
fn open_with(path: &Path, find_ffmpeg: impl FnOnce() -> Option<PathBuf>) -> Result<Box<dyn MonoSource>, AudioError> {
    match NativeSource::open(path) {
        Ok(source) => Ok(Box::new(source)),
        Err(Refusal::Error(error)) => Err(error),
        Err(Refusal::Foreign(format)) => match find_ffmpeg() {
            Some(program) => Ok(Box::new(FfmpegSource::open(&program, path, format)?)),
            None => Err(AudioError::Unsupported {
                path: path.to_path_buf(),
                reason: format!(
                    "{format} cannot be decoded here; an ffmpeg binary on the PATH would decode it, and there is none"
                ),
            }),
        },
    }
}

/// Why a file is not decoded here.
enum Refusal {
    /// Nothing can decode it.
    Error(AudioError),
    /// It is this format, which ffmpeg may know.
    Foreign(String),
}

impl From<AudioError> for Refusal {
    fn from(error: AudioError) -> Self {
        Self::Error(error)
    }
}

/// A file that Symphonia's decoders decode.
struct NativeSource {
    path: PathBuf,
    packets: Packets,
    decoder: Box<dyn AudioDecoder>,
    sample_rate: u32,
    num_samples_hint: Option<u64>,
    trim: Trim,
    /// Samples that were decoded to find a place, and come next.
    pending: Vec<f32>,
    /// Samples of blocks handed out or passed over.
    num_samples: u64,
    interleaved: Vec<f32>,
    has_ended: bool,
}

/// MP3 frames at the start of a file that may be damaged.
const FORGIVEN_MPEG_FRAMES: u64 = 2;

impl NativeSource {
    fn open(path: &Path) -> Result<Self, Refusal> {
        let io_error = |source| AudioError::Io { path: path.to_path_buf(), source };
        let metadata = path.metadata().map_err(io_error)?;
        if metadata.is_dir() {
            return Err(io_error(io::ErrorKind::IsADirectory.into()).into());
        }
        // Opening a pipe would wait for whoever writes to it.
        if !metadata.is_file() {
            return Err(unsupported(path, "not a regular file".into()).into());
        }
        if metadata.len() == 0 {
            return Err(AudioError::EmptyFile { path: path.to_path_buf() }.into());
        }
        let mut file = File::open(path).map_err(io_error)?;
        let (content, start) = sniff(&mut file).map_err(io_error)?;
        match content {
            Content::Native(name) => Self::open_container(path, file, name),
            Content::Foreign(name) => Err(Refusal::Foreign(name.into())),
            Content::NotSound(name) => Err(unsupported(path, format!("holds no sound: this is {name}")).into()),
            Content::Unknown => match mpeg::Frames::open(file, start).map_err(io_error)? {
                Some(frames) => Self::open_mpeg(path, frames),
                None => Err(unsupported(path, "not recognised as any audio format".into()).into()),
            },
        }
    }

    fn open_mpeg(path: &Path, frames: mpeg::Frames) -> Result<Self, Refusal> {
        let first = frames.first();
        if first.layer != 3 {
            return Err(Refusal::Foreign(format!("MPEG audio layer {}", first.layer)));
        }
        let tag = frames.tag().unwrap_or_default();
        let total = tag
            .frames
            .map(|frames| frames.saturating_mul(first.samples.into()).saturating_sub(tag.delay + tag.padding));
        let trim = Trim::new(tag.delay, total.filter(|_| tag.padding > 0));
        let decoder = new_decoder(&mpeg_parameters(&first)).map_err(|error| describe(path, 0.0, &error))?;
        let packets = Packets::Mpeg(MpegPackets {
            frames,
            channels: first.channels,
            num_frames: 0,
            forgiven_frames: FORGIVEN_MPEG_FRAMES,
        });
        Ok(Self::new(path, packets, decoder, first.sample_rate, total, trim))
    }

    fn open_container(path: &Path, file: File, name: &str) -> Result<Self, Refusal> {
        let io_error = |source| AudioError::Io { path: path.to_path_buf(), source };
        // The clone of a handle shares its position; a second handle has its own.
        let mut for_seeking = File::open(path).map_err(io_error)?;
        let stream = MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default());
        let (format_options, metadata_options) = (FormatOptions::default(), MetadataOptions::default());
        let probe =
            || symphonia::default::get_probe().probe(&Default::default(), stream, format_options, metadata_options);
        let mut format = guarded(probe).map_err(|error| match error {
            // Symphonia calls a file without one of its necessary parts unsupported.
            SymphoniaError::Unsupported(reason) if !reason.contains("missing") => {
                Refusal::Foreign(format!("{name} of an unusual kind ({reason})"))
            }
            error => describe(path, 0.0, &error).into(),
        })?;
        let Some(track) = format.default_track(TrackType::Audio).or_else(|| format.first_track(TrackType::Audio))
        else {
            // A track that Symphonia knows nothing of may be sound.
            return Err(
                if format.tracks().is_empty() || format.tracks().iter().any(|track| track.codec_params.is_none()) {
                    Refusal::Foreign(format!("{name} with a codec that is not known here"))
                } else {
                    unsupported(path, format!("{name} without an audio track")).into()
                },
            );
        };
        let Some(parameters) = track.codec_params.as_ref().and_then(|parameters| parameters.audio()).cloned() else {
            return Err(Refusal::Foreign(format!("{name} with a codec that is not known here")));
        };
        let codec = codec_name(&parameters);
        let decoder = new_decoder(&parameters).map_err(|error| match error {
            SymphoniaError::Unsupported(_) => Refusal::Foreign(format!("{codec} in {name}")),
            error => describe(path, 0.0, &error).into(),
        })?;
        let Some(sample_rate) = decoder.codec_params().sample_rate.or(parameters.sample_rate).filter(|&rate| rate > 0)
        else {
            return Err(AudioError::Damaged {
                path: path.to_path_buf(),
                seconds: 0.0,
                reason: "the header says a sample rate of 0 Hz".into(),
            }
            .into());
        };
        let track_id = track.id;
        let num_frames = track.num_frames;
        let first_position = u64::try_from(track.start_ts.get()).unwrap_or(0);
        let trim = if name == "MP4" {
            let edit = mp4::edit_of_track(&mut for_seeking, track_id).map_err(io_error)?;
            edit.map_or(Trim::default(), |edit| {
                let samples = |ticks: u64| {
                    (u128::from(ticks) * u128::from(sample_rate) / u128::from(edit.ticks_per_second)) as u64
                };
                let start = samples(edit.start);
                // The sample table can end before the edit does.
                let end = edit.end.map(samples).into_iter().chain(num_frames).min();
                Trim::new(start, end.map(|end| end.saturating_sub(start)))
            })
        } else {
            Trim::default()
        };
        let mut expected = expected_samples(format.as_ref(), &parameters, num_frames);
        if format.format_info().format == FORMAT_ID_OGG {
            let position = ogg::last_granule_position(&mut for_seeking, track_id).map_err(io_error)?;
            expected = expected.max(position.map(|position| position.saturating_sub(first_position)));
        }
        let mut ahead = VecDeque::new();
        if parameters.codec == CODEC_ID_AAC && sample_rate <= aac::MAXIMUM_CORE_RATE {
            ahead = read_ahead(format.as_mut(), track_id);
            let with_sbr = ahead.iter().filter(|packet| aac::seems_to_carry_sbr(&packet.data)).count();
            if 2 * with_sbr > ahead.len() {
                return Err(Refusal::Foreign(format!("HE-AAC in {name}")));
            }
        }
        let hint = trim.length.or(expected);
        let ends_with_file = format.format_info().format == FORMAT_ID_WAVE && num_frames.is_none();
        let packets =
            ContainerPackets { format, track_id, ahead, expected, first_position, ends_with_file, decoded: 0 };
        let packets = Packets::Container(packets);
        Ok(Self::new(path, packets, decoder, sample_rate, hint, trim))
    }

    fn new(
        path: &Path,
        packets: Packets,
        decoder: Box<dyn AudioDecoder>,
        sample_rate: u32,
        num_samples_hint: Option<u64>,
        trim: Trim,
    ) -> Self {
        Self {
            path: path.to_path_buf(),
            packets,
            decoder,
            sample_rate,
            num_samples_hint,
            trim,
            pending: Vec::new(),
            num_samples: 0,
            interleaved: Vec::new(),
            has_ended: false,
        }
    }

    fn seconds(&self) -> f64 {
        self.num_samples as f64 / f64::from(self.sample_rate)
    }

    fn read_block(&mut self) -> Result<Option<Waveform>, AudioError> {
        if !self.pending.is_empty() {
            let block = std::mem::take(&mut self.pending);
            self.num_samples += block.len() as u64;
            return Ok(Some(Waveform::new(block, self.sample_rate)));
        }
        loop {
            let packet = match self.step()? {
                Step::Packet(packet) => packet,
                Step::NewDecoder(parameters, packet) => {
                    self.decoder =
                        new_decoder(&parameters).map_err(|error| describe(&self.path, self.seconds(), &error))?;
                    match packet {
                        Some(packet) => packet,
                        None => continue,
                    }
                }
                Step::End => {
                    if self.num_samples == 0 {
                        return Err(AudioError::NoSound { path: self.path.clone(), found: 0 });
                    }
                    return Ok(None);
                }
            };
            let mono = self.decode(&packet)?;
            let mono = self.trim.apply(mono);
            if !mono.is_empty() {
                self.num_samples += mono.len() as u64;
                return Ok(Some(Waveform::new(mono, self.sample_rate)));
            }
        }
    }

    fn step(&mut self) -> Result<Step, AudioError> {
        let seconds = self.seconds();
        match &mut self.packets {
            Packets::Mpeg(packets) => packets.step(&self.path, seconds, &mut self.trim),
            Packets::Container(packets) => packets.step(&self.path, seconds, self.sample_rate),
        }
    }

    /// The mono samples of a packet, before trimming.
    fn decode(&mut self, packet: &Packet) -> Result<Vec<f32>, AudioError> {
        let seconds = self.num_samples as f64 / f64::from(self.sample_rate);
        let buffer = match guarded(|| self.decoder.decode(packet)) {
            Ok(buffer) => buffer,
            Err(error) => {
                let is_forgiven =
                    matches!(&self.packets, Packets::Mpeg(mpeg) if mpeg.num_frames <= mpeg.forgiven_frames);
                if is_forgiven && is_forgivable(&error) {
                    return Ok(vec![0.0; packet.dur.get() as usize]);
                }
                return Err(describe(&self.path, seconds, &error));
            }
        };
        let (sample_rate, channels) = (buffer.spec().rate(), buffer.spec().channels().count());
        if buffer.frames() == 0 {
            return Ok(Vec::new());
        }
        if sample_rate != self.sample_rate {
            return Err(rate_changes(&self.path, seconds, self.sample_rate, sample_rate));
        }
        buffer.copy_to_vec_interleaved(&mut self.interleaved);
        let mono = mix_down(&self.path, &self.interleaved, channels, self.sample_rate, self.num_samples)?;
        if let Packets::Container(packets) = &mut self.packets {
            packets.decoded += mono.len() as u64;
        }
        Ok(mono)
    }
}

impl MonoSource for NativeSource {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn num_samples_hint(&self) -> Option<u64> {
        self.num_samples_hint
    }

    fn num_channels_hint(&self) -> Option<u32> {
        match &self.packets {
            Packets::Mpeg(packets) => Some(packets.channels.into()),
            Packets::Container(_) => {
                let channels = self.decoder.codec_params().channels.as_ref()?.count();
                u32::try_from(channels).ok().filter(|&channels| channels > 0)
            }
        }
    }

    fn bit_depth_hint(&self) -> Option<u32> {
        match &self.packets {
            Packets::Mpeg(_) => None,
            Packets::Container(_) => self.decoder.codec_params().bits_per_sample,
        }
    }

    fn pass_over(&mut self, num_samples: u64) -> Result<u64, AudioError> {
        if self.has_ended {
            return Ok(0);
        }
        let passed = self.seek(num_samples);
        self.has_ended = passed.is_err();
        passed
    }

    fn next_block(&mut self) -> Result<Option<Waveform>, AudioError> {
        if self.has_ended {
            return Ok(None);
        }
        let block = self.read_block();
        self.has_ended = !matches!(block, Ok(Some(_)));
        block
    }
}

/// Leaves out samples in front and after a length.
#[derive(Debug, Default, PartialEq)]
struct Trim {
    /// Samples still to be left out in front.
    skip: u64,
    /// Samples still to be kept.
    length: Option<u64>,
    /// The first samples left out after that, in case that more follow than can be padding.
    held: Vec<f32>,
}

impl Trim {
    /// The LAME tag has 12 bits for its padding.
    const MAXIMUM_PADDING: usize = 4096;

    fn new(skip: u64, length: Option<u64>) -> Self {
        Self { skip, length, held: Vec::new() }
    }

    fn apply(&mut self, mut samples: Vec<f32>) -> Vec<f32> {
        let skipped = self.skip.min(samples.len() as u64);
        self.skip -= skipped;
        samples.drain(..skipped as usize);
        match &mut self.length {
            None => samples.splice(..0, self.held.drain(..)).for_each(drop),
            Some(length) => {
                let kept = (*length).min(samples.len() as u64);
                *length -= kept;
                let room = Self::MAXIMUM_PADDING - self.held.len();
                self.held.extend(samples.drain(kept as usize..).take(room));
            }
        }
        samples
    }
}

fn new_decoder(parameters: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, SymphoniaError> {
    guarded(|| symphonia::default::get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default()))
}

fn unsupported(path: &Path, reason: String) -> AudioError {
    AudioError::Unsupported { path: path.to_path_buf(), reason }
}

/// What a panic of Symphonia is turned into.
const PANICKED: &str = "the decoder failed with a panic";

/// Calls Symphonia, which panics on some damaged files: its 0.6.1 multiplies lengths from the headers of AIFF files
/// without a check (`fixtures/formats/hostile.aiff`). What has panicked is only dropped afterwards.
fn guarded<T>(call: impl FnOnce() -> Result<T, SymphoniaError>) -> Result<T, SymphoniaError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_or(Err(SymphoniaError::DecodeError(PANICKED)))
}

/// Whether a decoder can go on after this error.
fn is_forgivable(error: &SymphoniaError) -> bool {
    match error {
        SymphoniaError::DecodeError(reason) => *reason != PANICKED,
        SymphoniaError::IoError(_) => true,
        _ => false,
    }
}

fn is_end_of_file(error: &SymphoniaError) -> bool {
    matches!(error, SymphoniaError::IoError(source) if source.kind() == io::ErrorKind::UnexpectedEof)
}

/// What an error of Symphonia means for the file.
fn describe(path: &Path, seconds: f64, error: &SymphoniaError) -> AudioError {
    let damaged = |reason| AudioError::Damaged { path: path.to_path_buf(), seconds, reason };
    match error {
        error if is_end_of_file(error) => damaged("the file ends too early".into()),
        // What Symphonia makes up itself carries no number of the system's.
        SymphoniaError::IoError(source) => match source.raw_os_error() {
            Some(code) => AudioError::Io { path: path.to_path_buf(), source: io::Error::from_raw_os_error(code) },
            None => damaged(source.to_string()),
        },
        SymphoniaError::Unsupported(reason) if !reason.contains("missing") => {
            unsupported(path, format!("cannot be decoded: {reason}"))
        }
        error => damaged(error.to_string()),
    }
}

fn codec_name(parameters: &AudioCodecParameters) -> &'static str {
    let is_high_efficiency =
        parameters.profile.is_some_and(|profile| [CODEC_PROFILE_AAC_HE, CODEC_PROFILE_AAC_HE_V2].contains(&profile));
    match parameters.codec {
        CODEC_ID_AAC if is_high_efficiency => "HE-AAC",
        CODEC_ID_AAC => "AAC other than the low-complexity profile of 1 or 2 channels",
        CODEC_ID_OPUS => "Opus audio",
        CODEC_ID_SPEEX => "Speex audio",
        CODEC_ID_AC3 => "AC-3 audio",
        CODEC_ID_EAC3 => "E-AC-3 audio",
        CODEC_ID_DCA => "DTS audio",
        CODEC_ID_WMA => "Windows Media (WMA) audio",
        CODEC_ID_WAVPACK => "WavPack audio",
        CODEC_ID_MP1 => "MPEG audio layer 1",
        CODEC_ID_MP2 => "MPEG audio layer 2",
        CODEC_ID_MP3 => "MP3 audio",
        _ => "a codec that is not known here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
    }

    #[test]
    fn trimming_does_not_depend_on_the_blocks() {
        let samples: Vec<f32> = (0..1000u16).map(f32::from).collect();
        for block in [1, 7, 300, 1000] {
            let mut trim = Trim::new(105, Some(600));
            let kept: Vec<f32> = samples.chunks(block).flat_map(|block| trim.apply(block.to_vec())).collect();
            assert_eq!(kept, samples[105..705], "{block}");
        }
    }

    #[test]
    fn a_length_that_turns_out_wrong_costs_no_samples() {
        let samples: Vec<f32> = (0..1000u16).map(f32::from).collect();
        let mut trim = Trim::new(0, Some(450));
        let mut kept = trim.apply(samples[..500].to_vec());
        assert_eq!(kept.len(), 450);
        trim.length = None;
        kept.extend(trim.apply(samples[500..].to_vec()));
        assert_eq!(kept, samples);
    }

    #[test]
    fn without_ffmpeg_the_error_names_the_format_and_the_remedy() {
        for (name, format) in [
            ("formats/tone.opus", "Opus audio in Ogg"),
            ("formats/tone-opus.webm", "Opus audio in Matroska or WebM"),
            ("formats/tone.wma", "Windows Media (WMA) in ASF"),
            ("formats/tone.mp2", "MPEG audio layer 2"),
            ("formats/tone-aac-5.1.m4a", "AAC other than the low-complexity profile of 1 or 2 channels in MP4"),
            ("formats/he-aac-explicit.m4a", "HE-AAC in MP4"),
            ("formats/he-aac-implicit.aac", "HE-AAC in ADTS"),
        ] {
            let error = open_with(&fixture(name), || None).err().unwrap().to_string();
            assert!(error.contains(&format!("{format} cannot be decoded here")), "{name}: {error}");
            assert!(error.contains("ffmpeg binary on the PATH"), "{name}: {error}");
        }
    }

    #[test]
    fn ffmpeg_is_not_asked_where_it_is_not_needed() {
        for name in ["audio/rainy.wav", "audio/hungarian_dance.mp3", "formats/tone-aac.m4a", "formats/tone.aac"] {
            assert!(open_with(&fixture(name), || panic!("{name}: ffmpeg was looked for")).is_ok());
        }
    }
}
