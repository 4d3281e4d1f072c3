//! Arrays of numpy, version 1 to 3 of the format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::path::Path;

use super::ImportError;

/// An array in C order.
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

/// What an array holds.
#[derive(Debug, PartialEq)]
pub(super) enum Values {
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads an array of numbers, truth values or texts of fixed length, little-endian and in C order.
pub(super) fn read(path: &Path) -> Result<Array, ImportError> {
    let bytes = std::fs::read(path).map_err(|source| ImportError::Io { path: path.to_owned(), source })?;
    parse(&bytes).map_err(|reason| ImportError::file(path, reason))
}

fn parse(bytes: &[u8]) -> Result<Array, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("expected a numpy array, found something else")?;
    let (&[major, _], rest) = rest.split_first_chunk::<2>().ok_or("the header is cut off")?;
    let (length, rest) = if major == 1 {
        let (length, rest) = rest.split_first_chunk::<2>().ok_or("the header is cut off")?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>().ok_or("the header is cut off")?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(length).ok_or("the header is cut off")?;
    let header = String::from_utf8_lossy(header).replace('"', "'");
    let field = |name: &str| {
        let after = header.split_once(&format!("'{name}':")).map(|(_, after)| after.trim_start());
        after.ok_or_else(|| format!("the header has no `{name}`"))
    };
    if field("fortran_order")?.starts_with("True") {
        return Err("expected C order, found Fortran order".into());
    }
    let kind = field("descr")?.strip_prefix('\'').unwrap_or_default().split('\'').next().unwrap_or_default().to_owned();
    let shape = field("shape")?.trim_start_matches('(').split(')').next().unwrap_or_default();
    let shape: Vec<usize> = shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(|size| size.parse().map_err(|_| format!("`{size}` is no size")))
        .collect::<Result<_, String>>()?;
    let count = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size)).ok_or("it is too large")?;
    let unknown = || format!("expected numbers or texts of fixed length, found type `{kind}`");
    let (order, letter) = (kind.get(..1).ok_or_else(unknown)?, kind.get(1..2).ok_or_else(unknown)?);
    let size: usize = kind.get(2..).and_then(|size| size.parse().ok()).ok_or_else(unknown)?;
    if order == ">" {
        return Err("expected little-endian numbers, found big-endian ones".into());
    }
    let item_bytes = if letter == "U" { size * 4 } else { size };
    if item_bytes == 0 || count.checked_mul(item_bytes) != Some(data.len()) {
        return Err(format!("expected {count} items of {item_bytes} bytes, found {} bytes", data.len()));
    }
    let items = data.chunks_exact(item_bytes);
    let values = match letter {
        "U" => Values::Texts(items.map(text_of_unicode).collect()),
        "S" => {
            Values::Texts(items.map(|item| String::from_utf8_lossy(item).trim_end_matches('\0').to_owned()).collect())
        }
        _ => {
            let number = |item: &[u8]| number(letter, item).ok_or_else(unknown);
            Values::Numbers(items.map(number).collect::<Result<_, _>>()?)
        }
    };
    Ok(Array { shape, values })
}

/// Four bytes a character, filled with zeros.
fn text_of_unicode(item: &[u8]) -> String {
    let codes = item.as_chunks::<4>().0.iter().map(|&bytes| u32::from_le_bytes(bytes));
    codes
        .take_while(|&code| code != 0)
        .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn number(letter: &str, item: &[u8]) -> Option<f64> {
    Some(match (letter, item) {
        ("b" | "u", &[byte]) => byte.into(),
        ("i", &[byte]) => (byte as i8).into(),
        ("i", &[a, b]) => i16::from_le_bytes([a, b]).into(),
        ("u", &[a, b]) => u16::from_le_bytes([a, b]).into(),
        ("i", &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]).into(),
        ("u", &[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]).into(),
        ("f", &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).into(),
        ("i", item) => i64::from_le_bytes(item.try_into().ok()?) as f64,
        ("u", item) => u64::from_le_bytes(item.try_into().ok()?) as f64,
        ("f", item) => f64::from_le_bytes(item.try_into().ok()?),
        _ => return None,
    })
}

/// An array as numpy would write it, for tests.
#[cfg(test)]
pub(super) fn bytes(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    [MAGIC, b"\x01\x00", &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_read() {
        let array = parse(&bytes("<f8", "1, 2", &[1.0_f64.to_le_bytes(), 0.5_f64.to_le_bytes()].concat())).unwrap();
        assert_eq!((array.shape, array.values), (vec![1, 2], Values::Numbers(vec![1.0, 0.5])));
        assert_eq!(parse(&bytes("|b1", "3,", &[1, 0, 1])).unwrap().values, Values::Numbers(vec![1.0, 0.0, 1.0]));
        assert_eq!(parse(&bytes("<i8", "1,", &(-3_i64).to_le_bytes())).unwrap().values, Values::Numbers(vec![-3.0]));
        let text: Vec<u8> = "né\0".chars().flat_map(|character| u32::from(character).to_le_bytes()).collect();
        assert_eq!(parse(&bytes("<U3", "1,", &text)).unwrap().values, Values::Texts(vec!["né".into()]));
        assert_eq!(parse(&bytes("|S2", "2,", b"abc\0")).unwrap().values, Values::Texts(vec!["ab".into(), "c".into()]));
    }

    #[test]
    fn damaged_and_foreign_arrays_are_errors() {
        for (broken, expected) in [
            (b"PK".to_vec(), "expected a numpy array"),
            (b"\x93NUMPY\x01\x00\xff".to_vec(), "the header is cut off"),
            (b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), "the header is cut off"),
            (bytes("|O", "1,", &[]), "found type `|O`"),
            (bytes(">f8", "1,", &[0; 8]), "big-endian"),
            (bytes("<f8", "2,", &[0; 8]), "expected 2 items of 8 bytes, found 8 bytes"),
            (bytes("<c8", "1,", &[0; 8]), "found type `<c8`"),
            (bytes("<f8", "18446744073709551615, 4", &[0; 8]), "too large"),
            (bytes("<f8", "x,", &[0; 8]), "`x` is no size"),
            (bytes("", "1,", &[0; 8]), "found type ``"),
        ] {
            let error = parse(&broken).map(|_| ()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
