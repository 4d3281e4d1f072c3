//! What a file is, from its first bytes. Names of files are not looked at.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A container that Symphonia reads, though perhaps not every codec in it.
    Native(&'static str),
    /// Known, and not read by Symphonia.
    Foreign(&'static str),
    /// Known not to be recorded sound.
    NotSound(&'static str),
    /// Nothing known. MPEG audio has no signature, so it may be that.
    Unknown,
}

/// Bytes that [`recognise`] needs to see.
const HEAD_BYTES: u64 = 1024;

/// The file's content, and where it begins: after any ID3v2 tags in front.
pub(super) fn sniff(file: &mut File) -> io::Result<(Content, u64)> {
    let start = skip_id3v2(file, 0)?;
    let head = read_at(file, start, HEAD_BYTES)?;
    Ok((recognise(&head), start))
}

/// Up to `length` bytes from `position` on; fewer only at the end of the file.
pub(super) fn read_at(file: &mut File, position: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(position))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The position after all ID3v2 tags that begin at `position`.
fn skip_id3v2(file: &mut File, mut position: u64) -> io::Result<u64> {
    while let Some(length) = id3v2_length(&read_at(file, position, 10)?) {
        position += length;
    }
    Ok(position)
}

/// The length of the ID3v2 tag whose header this is (ID3v2.4.0 structure, section 3.1), with its footer.
pub(super) fn id3v2_length(header: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', major, revision, flags, size @ ..] = header.get(..10)? else { return None };
    if *major == 0xff || *revision == 0xff || size.iter().any(|byte| byte & 0x80 != 0) {
        return None;
    }
    let size = size.iter().fold(0, |size, &byte| size << 7 | u64::from(byte));
    Some(10 + size + if flags & 0x10 != 0 { 10 } else { 0 })
}

/// What content begins with `head`.
fn recognise(head: &[u8]) -> Content {
    use Content::{Foreign, Native, NotSound, Unknown};
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(0, b"RIFF") && at(8, b"WAVE") {
        return Native("WAV");
    }
    if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        return Native("AIFF");
    }
    if at(4, b"ftyp") {
        return Native("MP4");
    }
    if at(0, &[0x47]) && at(188, &[0x47]) && at(376, &[0x47]) {
        return Foreign("an MPEG transport stream");
    }
    if at(0, b"RIFF") && at(8, b"AVI ") {
        return Foreign("an AVI file");
    }
    if at(0, b"FRM8") {
        return Foreign("DSDIFF audio");
    }
    let signatures: &[(&[u8], Content)] = &[
        (b"fLaC", Native("FLAC")),
        (b"OggS", Native("Ogg")),
        (b"caff", Native("CAF")),
        (b"\x1a\x45\xdf\xa3", Native("Matroska or WebM")),
        (b"\xff\xf1", Native("ADTS")),
        (b"\xff\xf9", Native("ADTS")),
        (b"\xff\xf0", Native("ADTS")),
        (b"\xff\xf8", Native("ADTS")),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Foreign("Windows Media (WMA) in ASF")),
        (b"RF64", Foreign("a WAV file over 4 GiB (RF64)")),
        (b"BW64", Foreign("a WAV file over 4 GiB (BW64)")),
        (b"riff\x2e\x91\xcf\x11", Foreign("a Sony Wave64 file")),
        (b".snd", Foreign("a Sun AU file")),
        (b"wvpk", Foreign("WavPack audio")),
        (b"MAC ", Foreign("Monkey's Audio")),
        (b"TTA1", Foreign("True Audio")),
        (b"MPCK", Foreign("Musepack audio")),
        (b"MP+", Foreign("Musepack audio")),
        (b"DSD ", Foreign("DSD audio (DSF)")),
        (b"#!AMR", Foreign("AMR audio")),
        (b"Creative Voice File", Foreign("a Creative Voice file")),
        (b"\x0b\x77", Foreign("AC-3 audio")),
        (b"\x7f\xfe\x80\x01", Foreign("DTS audio")),
        (b".RMF", Foreign("a RealMedia file")),
        (b"FLV\x01", Foreign("a Flash Video file")),
        (b"\x00\x00\x01\xba", Foreign("an MPEG program stream")),
        (b"MThd", NotSound("a MIDI file: notes, not sound; render it with a synthesiser first")),
        (b"%PDF", NotSound("a PDF document")),
        (b"\x89PNG", NotSound("a PNG picture")),
        (b"\xff\xd8\xff", NotSound("a JPEG picture")),
        (b"PK\x03\x04", NotSound("a ZIP archive")),
        (b"\x1f\x8b", NotSound("a gzip archive")),
    ];
    signatures.iter().find(|(magic, _)| at(0, magic)).map_or(Unknown, |&(_, content)| content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_recognised_and_short_heads_are_not() {
        assert_eq!(recognise(b"RIFF\x24\0\0\0WAVEfmt "), Content::Native("WAV"));
        assert_eq!(recognise(b"RIFF\x24\0\0\0AVI LIST"), Content::Foreign("an AVI file"));
        assert_eq!(recognise(b"\0\0\0\x20ftypM4A "), Content::Native("MP4"));
        for unknown in [&b"RIFF"[..], b"", b"plain text", b"\0\0\0\0\0\0\0\0", b"\xff\xfb\x90\x64"] {
            assert_eq!(recognise(unknown), Content::Unknown, "{unknown:?}");
        }
    }

    #[test]
    fn id3v2_lengths_are_synchsafe() {
        assert_eq!(id3v2_length(b"ID3\x04\x00\x00\x00\x00\x02\x01"), Some(10 + 257));
        assert_eq!(id3v2_length(b"ID3\x04\x00\x10\x00\x00\x02\x01"), Some(20 + 257));
        assert_eq!(id3v2_length(b"ID3\x04\x00\x00\x00\x00\x02\x80"), None);
        assert_eq!(id3v2_length(b"ID3\x04"), None);
    }
}
