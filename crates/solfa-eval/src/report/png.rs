//! Pictures of matrices, small enough to stand in a page.
//!
//! Portable Network Graphics (ISO/IEC 15948) with a palette; the data are stored and not compressed (RFC 1951, 3.2.4),
//! which needs no library and costs little at some ten thousand pixels.

use crate::similarity::encode_base64;

/// The longest stored block.
const BLOCK_BYTES: usize = 65_535;

/// A picture of steps from 0 to 255, row-major, as an address that contains it.
pub(super) fn data_address(steps: &[u8], columns: usize, palette: &[[u8; 3]]) -> String {
    format!("data:image/png;base64,{}", encode_base64(&picture(steps, columns, palette)))
}

fn picture(steps: &[u8], columns: usize, palette: &[[u8; 3]]) -> Vec<u8> {
    let rows = steps.len() / columns.max(1);
    let mut header = Vec::new();
    header.extend((columns as u32).to_be_bytes());
    header.extend((rows as u32).to_be_bytes());
    // Eight bits, a palette, the only compression and filter method, no interlace.
    header.extend([8, 3, 0, 0, 0]);
    let mut lines = Vec::with_capacity(steps.len() + rows);
    for row in steps.chunks(columns.max(1)) {
        lines.push(0);
        lines.extend(row);
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, *b"IHDR", &header);
    chunk(&mut file, *b"PLTE", palette.as_flattened());
    chunk(&mut file, *b"IDAT", &stored(&lines));
    chunk(&mut file, *b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend(kind);
    file.extend(data);
    let sum = cyclic_sum(&file[start..]);
    file.extend(sum.to_be_bytes());
}

/// A zlib stream of stored blocks.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let num_blocks = data.len().div_ceil(BLOCK_BYTES).max(1);
    for (index, block) in data.chunks(BLOCK_BYTES).enumerate() {
        stream.push(u8::from(index + 1 == num_blocks));
        stream.extend((block.len() as u16).to_le_bytes());
        stream.extend((!(block.len() as u16)).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler(data).to_be_bytes());
    stream
}

/// CRC-32 of ISO 3309, bit by bit.
fn cyclic_sum(data: &[u8]) -> u32 {
    let step = |sum: u32, &byte: &u8| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 })
    };
    !data.iter().fold(u32::MAX, step)
}

/// Adler-32 of RFC 1950.
fn adler(data: &[u8]) -> u32 {
    let step = |(a, b): (u32, u32), &byte: &u8| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    };
    let (a, b) = data.iter().fold((1, 0), step);
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_the_standards_own() {
        assert_eq!(cyclic_sum(b"123456789"), 0xcbf4_3926);
        assert_eq!(cyclic_sum(b"IEND"), 0xae42_6082);
        assert_eq!(adler(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn a_picture_has_its_parts() {
        let file = picture(&[0, 1, 2, 3, 4, 5], 3, &[[9, 9, 9]; 6]);
        assert!(file.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x03\0\0\0\x02\x08\x03\0\0\0"));
        assert!(file.ends_with(&[0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82]));
        let large = stored(&vec![7; 70_000]);
        assert_eq!((large.len(), large[2], large[2 + 5 + BLOCK_BYTES]), (2 + 5 + 5 + 70_000 + 4, 0, 1));
    }
}
