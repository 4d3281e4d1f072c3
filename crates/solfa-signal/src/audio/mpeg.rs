//! MPEG audio (MP3) files: where the frames are, and what the Xing, Info or VBRI tag says of them.
//!
//! Symphonia's reader of such files is not used: it cuts a file without such a tag off at a length guessed from its
//! first frames, and passes over damage silently. Its decoder is used.

use std::fs::File;
use std::io;

use super::sniff::{id3v2_length, read_at};

/// The 4-byte header of a frame (ISO 11172-3, 2.4.1.3; ISO 13818-3 for the lower rates).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Layer 1, 2 or 3.
    pub(super) layer: u8,
    /// Samples per second.
    pub(super) sample_rate: u32,
    /// 1 or 2.
    pub(super) channels: u8,
    /// Samples per channel in the frame.
    pub(super) samples: u32,
    /// Length of the frame in bytes, header included.
    pub(super) bytes: usize,
    /// MPEG 1, rather than 2 or 2.5.
    mpeg1: bool,
}

impl Header {
    /// The header in the first 4 bytes, if they are one. Frames of free bit rate are not known here.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = u32::from_be_bytes(*bytes.first_chunk()?);
        if word >> 21 != 0x7ff {
            return None;
        }
        let (divisor, mpeg1) = match word >> 19 & 3 {
            3 => (1, true),
            2 => (2, false),
            0 => (4, false),
            _ => return None,
        };
        let layer = match word >> 17 & 3 {
            3 => 1,
            2 => 2,
            1 => 3,
            _ => return None,
        };
        // In kbit/s, for MPEG 1 layers 1, 2, 3, then MPEG 2 layer 1, then MPEG 2 layers 2 and 3.
        let rates: [u32; 14] = match (mpeg1, layer) {
            (true, 1) => [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
            (true, 2) => [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
            (true, _) => [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
            (false, 1) => [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
            (false, _) => [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        };
        let bit_rate = 1000 * *rates.get((word >> 12 & 15).checked_sub(1)? as usize)?;
        let sample_rate = [44_100, 48_000, 32_000].get((word >> 10 & 3) as usize)? / divisor;
        let padding = word >> 9 & 1;
        let samples = match (layer, mpeg1) {
            (1, _) => 384,
            (3, false) => 576,
            _ => 1152,
        };
        let bytes = if layer == 1 {
            4 * (12 * bit_rate / sample_rate + padding)
        } else {
            samples / 8 * bit_rate / sample_rate + padding
        };
        let channels = if word >> 6 & 3 == 3 { 1 } else { 2 };
        Some(Self { layer, sample_rate, channels, samples, bytes: bytes as usize, mpeg1 })
    }

    /// Whether both can belong to one stream.
    fn continues(&self, other: &Self) -> bool {
        self.layer == other.layer && self.sample_rate == other.sample_rate && self.samples == other.samples
    }

    /// Bytes from the start of a layer 3 frame to the end of its side information, where a tag would begin.
    fn tag_offset(&self) -> usize {
        4 + match (self.mpeg1, self.channels) {
            (true, 1) | (false, 2) => 17,
            (true, _) => 32,
            (false, _) => 9,
        }
    }
}

/// What a Xing, Info or VBRI tag in the first frame says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tag {
    /// Number of frames of sound, without the frame that holds the tag.
    pub(super) frames: Option<u64>,
    /// Samples that encoder and decoder put in front, where LAME or libavformat wrote the tag.
    pub(super) delay: u64,
    /// Samples that they put at the end.
    pub(super) padding: u64,
}

impl Tag {
    /// The tag in a layer 3 frame that holds one instead of sound.
    fn parse(frame: &[u8], header: &Header) -> Option<Self> {
        /// A decoder of layer 3 is late by this much (LAME's DECDELAY, 528, and the sample that its own count omits).
        const DECODER_DELAY: u64 = 529;
        let number = |offset: usize| Some(u64::from(u32::from_be_bytes(*frame.get(offset..)?.first_chunk()?)));
        if frame.get(36..40) == Some(b"VBRI") {
            return Some(Self { frames: Some(number(36 + 14)?), ..Self::default() });
        }
        let offset = header.tag_offset();
        if !matches!(frame.get(offset..offset + 4)?, b"Xing" | b"Info") {
            return None;
        }
        let flags = number(offset + 4)?;
        let mut position = offset + 8;
        let mut tag = Self::default();
        for (flag, length) in [(1, 4), (2, 4), (4, 100), (8, 4)] {
            if flags & flag != 0 {
                if flag == 1 {
                    tag.frames = number(position);
                }
                position += length;
            }
        }
        // The extension of LAME, which libavformat writes under its own name.
        if let Some(extension) = frame.get(position..position + 24)
            && [&b"LAME"[..], b"Lavf", b"Lavc"].iter().any(|name| extension.starts_with(name))
        {
            let (delay, padding) = (
                u64::from(extension[21]) << 4 | u64::from(extension[22]) >> 4,
                u64::from(extension[22] & 15) << 8 | u64::from(extension[23]),
            );
            tag.delay = delay + DECODER_DELAY;
            tag.padding = padding.saturating_sub(DECODER_DELAY);
        }
        Some(tag)
    }
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Next {
    /// A whole frame.
    Frame(Header, Vec<u8>),
    /// The end of the frames. Tags and other bytes that are no frames may follow.
    End {
        /// The file ends inside a frame.
        inside_frame: bool,
    },
    /// Bytes that are neither a frame nor a tag, with frames after them.
    Gap {
        /// Where they begin in the file.
        position: u64,
        /// Their number.
        bytes: u64,
    },
    /// A frame at another sample rate or of another layer.
    Change(Header),
}

/// The frames of a file, in order.
pub(super) struct Frames {
    file: File,
    position: u64,
    first: Header,
    tag: Option<Tag>,
    window: Vec<u8>,
    window_position: u64,
}

/// Bytes read at once.
const WINDOW_BYTES: u64 = 64 * 1024;
/// More than the longest tag and a few frames together; what must lie ahead in the window to judge a frame.
const LOOKAHEAD_BYTES: u64 = 8 * 1024;
/// How far from the start of a file the first frame is looked for.
const MAXIMUM_LEADING_JUNK: u64 = 256 * 1024;

impl Frames {
    /// The frames of `file` from `start` on, or `None` where there are none.
    pub(super) fn open(file: File, start: u64) -> io::Result<Option<Self>> {
        let first = Header { layer: 0, sample_rate: 0, channels: 0, samples: 0, bytes: 0, mpeg1: false };
        let (window, window_position) = (Vec::new(), 0);
        let mut frames = Self { file, position: start, first, tag: None, window, window_position };
        let Some((position, first)) = frames.find(start, MAXIMUM_LEADING_JUNK)? else { return Ok(None) };
        frames.position = position;
        frames.first = first;
        if first.layer == 3 {
            frames.tag = Tag::parse(frames.bytes_at(position, first.bytes)?, &first);
        }
        if frames.tag.is_some() {
            frames.position += first.bytes as u64;
        }
        Ok(Some(frames))
    }

    /// The header of the first frame.
    pub(super) fn first(&self) -> Header {
        self.first
    }

    /// The tag in the first frame.
    pub(super) fn tag(&self) -> Option<Tag> {
        self.tag
    }

    /// The next frame, past any tags on the way to it.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        loop {
            let position = self.position;
            let head = self.bytes_at(position, 32)?;
            if head.is_empty() {
                return Ok(Next::End { inside_frame: false });
            }
            if let Some(length) = metadata_length(head) {
                self.position += length;
                continue;
            }
            if let Some(header) = Header::parse(head) {
                if !header.continues(&self.first) {
                    return self.resume(position);
                }
                let frame = self.bytes_at(position, header.bytes)?;
                if frame.len() < header.bytes {
                    return Ok(Next::End { inside_frame: true });
                }
                let frame = frame.to_vec();
                self.position += header.bytes as u64;
                return Ok(Next::Frame(header, frame));
            }
            return self.resume(position);
        }
    }

    /// What to make of bytes at `position` that do not continue the stream.
    fn resume(&mut self, position: u64) -> io::Result<Next> {
        Ok(match self.find(position, u64::MAX)? {
            None => Next::End { inside_frame: false },
            Some((found, _)) if found > position => Next::Gap { position, bytes: found - position },
            Some((_, header)) => Next::Change(header),
        })
    }

    /// The first position from `start` on, at most `limit` further, where a run of frames begins.
    fn find(&mut self, start: u64, limit: u64) -> io::Result<Option<(u64, Header)>> {
        let mut from = start;
        while from - start <= limit {
            let window = self.bytes_at(from, WINDOW_BYTES as usize)?;
            let is_last = (window.len() as u64) < WINDOW_BYTES;
            let judged = if is_last { window.len() } else { window.len() - LOOKAHEAD_BYTES as usize };
            let found = (0..judged).find_map(|offset| {
                let header = Header::parse(&window[offset..])?;
                begins_run(&window[offset..], header, from == start && offset == 0).then_some((offset, header))
            });
            if let Some((offset, header)) = found {
                return Ok(Some((from + offset as u64, header)));
            }
            if is_last {
                return Ok(None);
            }
            from += judged as u64;
        }
        Ok(None)
    }

    /// Up to `length` bytes from `position` on; fewer only at the end of the file.
    fn bytes_at(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let end = self.window_position + self.window.len() as u64;
        if position < self.window_position || position + length as u64 > end {
            self.window = read_at(&mut self.file, position, WINDOW_BYTES.max(length as u64))?;
            self.window_position = position;
        }
        let offset = (position - self.window_position) as usize;
        let available = self.window.len().saturating_sub(offset);
        Ok(&self.window[offset.min(self.window.len())..][..length.min(available)])
    }
}

/// Whether `bytes` begin with `header` and enough frames after it that this is no chance: 4 frames, or 2 that reach the
/// end of the sound, or 1 that does and stands where it should.
fn begins_run(bytes: &[u8], header: Header, is_expected_here: bool) -> bool {
    let mut position = 0;
    for count in 0.. {
        if count == 4 {
            return true;
        }
        let rest = bytes.get(position..).unwrap_or_default();
        match Header::parse(rest) {
            Some(next) if next.continues(&header) => position += next.bytes,
            _ => {
                let is_end = rest.len() < 4 || metadata_length(rest).is_some();
                return is_end && count >= if is_expected_here { 1 } else { 2 };
            }
        }
    }
    false
}

/// The length of the metadata that `head` begins: ID3v2, ID3v1, APE, Lyrics3 or zeros.
fn metadata_length(head: &[u8]) -> Option<u64> {
    if head.starts_with(b"ID3") {
        return id3v2_length(head);
    }
    if head.starts_with(b"TAG") {
        return Some(128);
    }
    if head.starts_with(b"APETAGEX") {
        // The size covers the items and the footer, not the header that stands here.
        let size = u64::from(u32::from_le_bytes(*head.get(12..)?.first_chunk()?));
        return Some(32 + size);
    }
    if head.starts_with(b"LYRICSBEGIN") {
        return Some(11);
    }
    let zeros = head.iter().take_while(|&&byte| byte == 0).count();
    (zeros >= 4).then_some(zeros as u64)
}
