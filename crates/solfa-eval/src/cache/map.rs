//! A cached file in memory without a copy.
#![allow(unsafe_code, reason = "mapping a file into memory is unsafe by nature: see the SAFETY comment")]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// Maps a whole file.
///
/// # Errors
/// The file cannot be opened or mapped.
pub(super) fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the map is read-only. Entries of the cache get their name by a rename and are never written to after that;
    // who cuts one short while it is read breaks this, as for every program that maps files.
    unsafe { Mmap::map(&file) }
}
