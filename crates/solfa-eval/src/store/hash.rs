//! What tells one file's content from another's.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Bytes that are read at a time.
const BLOCK_BYTES: usize = 1 << 18;

/// SHA-256 of all bytes, in memory that does not grow with them.
pub(crate) fn sha256(mut bytes: impl Read) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match bytes.read(&mut block) {
            Ok(0) => return Ok(digest.finalize().into()),
            Ok(count) => digest.update(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        let found = |bytes: &[u8]| sha256(bytes).unwrap().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(found(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // The standard's example of many blocks.
        let million = vec![b'a'; 1_000_000];
        assert_eq!(found(&million), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}
