//! The end of Ogg files, which Symphonia takes to be wherever the first damaged page is.

use std::fs::File;
use std::io;

use super::sniff::read_at;

/// The granule position of the last page of the stream `serial` that has one (RFC 3533, section 6): for the codecs that
/// are decoded here, the number of samples up to there. `None` where no such page is near the end of the file.
pub(super) fn last_granule_position(file: &mut File, serial: u32) -> io::Result<Option<u64>> {
    /// Two pages of the greatest length.
    const SEARCHED_BYTES: u64 = 2 * 65_307;
    let length = file.metadata()?.len();
    let end = read_at(file, length.saturating_sub(SEARCHED_BYTES), SEARCHED_BYTES)?;
    Ok(end.windows(18).rev().find_map(|page| granule_position(page, serial)))
}

/// The granule position of the page that begins with these 18 bytes, if one does.
fn granule_position(page: &[u8], serial: u32) -> Option<u64> {
    /// Stands for a page on which no packet ends.
    const NONE: u64 = u64::MAX;
    if !page.starts_with(b"OggS\0") || page.get(14..18)? != serial.to_le_bytes() {
        return None;
    }
    Some(u64::from_le_bytes(*page.get(6..)?.first_chunk()?)).filter(|&position| position != NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_pages() {
        let page = |position: u64| [&b"OggS\0\0"[..], &position.to_le_bytes(), &7u32.to_le_bytes()].concat();
        assert_eq!(granule_position(&page(384_000), 7), Some(384_000));
        assert_eq!(granule_position(&page(384_000), 8), None);
        assert_eq!(granule_position(&page(u64::MAX), 7), None);
        assert_eq!(granule_position(&page(1)[..17], 7), None);
    }
}
