//! The edit list of MP4 files, which says where the encoder's delay ends: Symphonia does not read it.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::sniff::read_at;

/// The part of a track that is to be played, in ticks of the track's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// Ticks to leave out in front.
    pub(super) start: u64,
    /// Where the playable part ends, counted from the first tick of the track, if the list says.
    pub(super) end: Option<u64>,
    /// Ticks per second.
    pub(super) ticks_per_second: u32,
}

/// The edit of track `track_id`, where its list has exactly one part that is not empty and plays at normal speed
/// (ISO 14496-12, 8.6.6). Anything else is `None`: such a track is decoded whole.
pub(super) fn edit_of_track(file: &mut File, track_id: u32) -> io::Result<Option<Edit>> {
    let length = file.metadata()?.len();
    let Some(movie) = child(file, 0..length, b"moov")? else { return Ok(None) };
    let Some(movie_clock) = clock(file, movie.clone(), b"mvhd")? else { return Ok(None) };
    for track in children(file, movie)?.into_iter().filter(|(name, _)| name == b"trak").map(|(_, range)| range) {
        let Some(header) = child(file, track.clone(), b"tkhd")? else { continue };
        let header = contents(file, header)?;
        let id_offset = if header.first() == Some(&1) { 20 } else { 12 };
        if number(&header, id_offset, 4) != Some(u64::from(track_id)) {
            continue;
        }
        let Some(media) = child(file, track.clone(), b"mdia")? else { return Ok(None) };
        let Some(ticks_per_second) = clock(file, media, b"mdhd")? else { return Ok(None) };
        let Some(edits) = child(file, track, b"edts")? else { return Ok(None) };
        let Some(list) = child(file, edits, b"elst")? else { return Ok(None) };
        return Ok(edit(&contents(file, list)?, movie_clock, ticks_per_second));
    }
    Ok(None)
}

/// The edit in the contents of an `elst` box.
fn edit(list: &[u8], movie_clock: u32, ticks_per_second: u32) -> Option<Edit> {
    let width = if *list.first()? == 1 { 8 } else { 4 };
    let count = number(list, 4, 4)?;
    let mut played = None;
    for entry in list.get(8..)?.chunks_exact(2 * width + 4).take(usize::try_from(count).ok()?) {
        let (duration, start) = (number(entry, 0, width)?, number(entry, width, width)?);
        let is_empty = start == u64::MAX >> (64 - 8 * width);
        if is_empty {
            continue;
        }
        if played.is_some() || number(entry, 2 * width, 4)? != 0x1_0000 {
            return None;
        }
        // The movie's clock is coarser than the track's; its rounding must not cost a sample.
        let ticks = (u128::from(duration) * u128::from(ticks_per_second)).div_ceil(u128::from(movie_clock));
        let end = if duration == 0 { None } else { start.checked_add(u64::try_from(ticks).ok()?) };
        played = Some(Edit { start, end, ticks_per_second });
    }
    played
}

/// Ticks per second of an `mvhd` or `mdhd` box.
fn clock(file: &mut File, parent: Range<u64>, name: &[u8; 4]) -> io::Result<Option<u32>> {
    let Some(header) = child(file, parent, name)? else { return Ok(None) };
    let header = contents(file, header)?;
    let offset = if header.first() == Some(&1) { 20 } else { 12 };
    Ok(number(&header, offset, 4).and_then(|ticks| u32::try_from(ticks).ok()).filter(|&ticks| ticks > 0))
}

/// The big-endian number of `width` bytes at `offset`.
fn number(bytes: &[u8], offset: usize, width: usize) -> Option<u64> {
    Some(bytes.get(offset..offset + width)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// What a box holds, up to far more than any box read here needs.
fn contents(file: &mut File, range: Range<u64>) -> io::Result<Vec<u8>> {
    const MAXIMUM_BYTES: u64 = 64 * 1024;
    read_at(file, range.start, (range.end - range.start).min(MAXIMUM_BYTES))
}

fn child(file: &mut File, parent: Range<u64>, name: &[u8; 4]) -> io::Result<Option<Range<u64>>> {
    Ok(children(file, parent)?.into_iter().find(|(found, _)| found == name).map(|(_, range)| range))
}

/// The name and the contents' place of every box directly in `parent`.
fn children(file: &mut File, parent: Range<u64>) -> io::Result<Vec<([u8; 4], Range<u64>)>> {
    /// A movie has a box per track and a few more; a fragmented one has two per fragment after the one wanted here.
    const MAXIMUM_BOXES: usize = 1000;
    let mut found = Vec::new();
    let mut position = parent.start;
    while position < parent.end && found.len() < MAXIMUM_BOXES {
        let header = read_at(file, position, 16)?;
        let (Some(length), Some(name)) =
            (number(&header, 0, 4), header.get(4..8).and_then(|name| name.try_into().ok()))
        else {
            break;
        };
        let (header_length, length) = match length {
            0 => (8, parent.end - position),
            1 => match number(&header, 8, 8) {
                Some(length) => (16, length),
                None => break,
            },
            length => (8, length),
        };
        let Some(end) = position.checked_add(length).filter(|_| length >= header_length) else { break };
        found.push((name, position + header_length..end.min(parent.end).max(position + header_length)));
        position = end;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(i32, i32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0];
        bytes.extend((entries.len() as u32).to_be_bytes());
        for (duration, start, rate) in entries {
            bytes.extend(duration.to_be_bytes());
            bytes.extend(start.to_be_bytes());
            bytes.extend(rate.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn one_part_is_an_edit_and_rounds_its_end_up() {
        let expected = Edit { start: 1024, end: Some(1024 + 44_145), ticks_per_second: 44_100 };
        assert_eq!(edit(&list(&[(1001, 1024, 0x1_0000)]), 1000, 44_100), Some(expected));
        assert_eq!(edit(&list(&[(50, -1, 0x1_0000), (1001, 1024, 0x1_0000)]), 1000, 44_100), Some(expected));
        let open = Edit { start: 1024, end: None, ticks_per_second: 44_100 };
        assert_eq!(edit(&list(&[(0, 1024, 0x1_0000)]), 1000, 44_100), Some(open));
    }

    #[test]
    fn other_lists_are_not_followed() {
        assert_eq!(edit(&list(&[(5, 0, 0x1_0000), (5, 100, 0x1_0000)]), 1000, 44_100), None);
        assert_eq!(edit(&list(&[(5, 0, 0x2_0000)]), 1000, 44_100), None);
        assert_eq!(edit(&list(&[]), 1000, 44_100), None);
        assert_eq!(edit(&list(&[(5, 0, 0x1_0000)])[..15], 1000, 44_100), None);
        assert_eq!(edit(&[], 1000, 44_100), None);
    }
}
