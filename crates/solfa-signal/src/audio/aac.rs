//! Finding out HE-AAC that nothing announces.
//!
//! HE-AAC is AAC at half the rate plus spectral band replication (SBR). A decoder that does not know SBR can play the
//! half, and Symphonia does so wherever the configuration keeps silent about the other half.

/// The highest rate, in Hz, of the half that a decoder without SBR would hear.
pub(super) const MAXIMUM_CORE_RATE: u32 = 24_000;

/// Whether an AAC packet seems to end with a fill element that carries SBR (ISO 14496-3, 4.4.2.1 and 4.4.2.7).
///
/// Reaching the fill element from the front takes a decoder of everything before it, so this reads from the end: the
/// end marker, and before it a fill element whose length fits and whose kind is SBR. In a packet without SBR that
/// happens by chance in a few of a hundred packets: ask of several.
pub(super) fn seems_to_carry_sbr(packet: &[u8]) -> bool {
    const FILL_ELEMENT: u32 = 6;
    const END: u32 = 7;
    const SBR_DATA: u32 = 13;
    const SBR_DATA_WITH_CHECKSUM: u32 = 14;
    /// The longest fill element, in bytes: 15 + 255 - 1.
    const MAXIMUM_FILL: usize = 269;

    let total_bits = 8 * packet.len();
    let read = |position: usize, width: usize| {
        (position..position + width).fold(0, |value, bit| value << 1 | u32::from(packet[bit / 8] >> (7 - bit % 8) & 1))
    };
    // Up to 7 zeros pad the packet after its end marker; the marker is ones.
    let Some(zeros) = (0..total_bits.min(8)).find(|zeros| read(total_bits - 1 - zeros, 1) == 1) else { return false };
    let Some(end) = (total_bits - zeros).checked_sub(3).filter(|&end| read(end, 3) == END) else { return false };
    (1..=MAXIMUM_FILL).any(|count| {
        let is_long = count >= 15;
        let header_bits = if is_long { 3 + 4 + 8 } else { 3 + 4 };
        let Some(start) = end.checked_sub(header_bits + 8 * count) else { return false };
        let length_fits = if is_long {
            read(start + 3, 4) == 15 && read(start + 7, 8) as usize == count + 1 - 15
        } else {
            read(start + 3, 4) as usize == count
        };
        read(start, 3) == FILL_ELEMENT
            && length_fits
            && matches!(read(start + header_bits, 4), SBR_DATA | SBR_DATA_WITH_CHECKSUM)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of `prefix` bits, a fill element of `count` bytes whose kind is `kind`, and the end marker.
    fn packet(prefix: usize, count: usize, kind: u32) -> Vec<u8> {
        let mut bits: Vec<u32> = (0..prefix).map(|bit| (bit * bit / 3 % 2) as u32).collect();
        let mut write = |value: u32, width: usize| bits.extend((0..width).rev().map(|bit| value >> bit & 1));
        write(6, 3);
        if count >= 15 {
            write(15, 4);
            write((count + 1 - 15) as u32, 8);
        } else {
            write(count as u32, 4);
        }
        write(kind, 4);
        (0..8 * count - 4).for_each(|bit| write((bit % 3 == 0).into(), 1));
        write(7, 3);
        bits.chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |sum, (i, &bit)| sum | (bit as u8) << (7 - i)))
            .collect()
    }

    #[test]
    fn sbr_at_the_end_is_seen() {
        for prefix in [0, 5, 100, 1003] {
            for count in [1, 7, 14, 15, 16, 80, 269] {
                assert!(seems_to_carry_sbr(&packet(prefix, count, 13)), "{prefix} {count}");
                assert!(seems_to_carry_sbr(&packet(prefix, count, 14)), "{prefix} {count}");
                assert!(!seems_to_carry_sbr(&packet(prefix, count, 0)), "{prefix} {count}");
            }
        }
    }

    #[test]
    fn short_and_empty_packets_carry_none() {
        for packet in [&[][..], &[0], &[0xff], &[0, 0, 0, 0], &[0xff, 0xff]] {
            assert!(!seems_to_carry_sbr(packet), "{packet:?}");
        }
    }
}
