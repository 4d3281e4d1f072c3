//! What happens on a disk that is really full.
//!
//! The tests fill the folder that `SOLFA_SMALL_DISK` names, which must be a disk of a few MiB of its own
//! (`mount -t tmpfs -o size=1m tmpfs /mnt/small`); without it they are skipped.

use std::path::{Path, PathBuf};

use super::fixtures::{frames_space, one_layer};
use super::{
    EmbeddedLayer, Embedding, EmbeddingSpace, Format, FrameSpool, LayerValues, OutputState, StoreError, TableWriter,
    output_state, write_embedding,
};

const DIM: usize = 256;

fn small_disk() -> Option<PathBuf> {
    let folder = std::env::var_os("SOLFA_SMALL_DISK").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: SOLFA_SMALL_DISK names no small disk to fill");
    }
    folder
}

fn space() -> EmbeddingSpace {
    EmbeddingSpace { layer_dims: vec![DIM], ..one_layer(frames_space()) }
}

fn embedding(path: &str, frames: &[f32]) -> Embedding {
    let mut spool = FrameSpool::new(5, DIM, 64 << 20, Path::new("."));
    spool.push(frames).unwrap();
    let values = LayerValues::Frames(spool.finish().unwrap());
    Embedding { path: path.to_owned(), duration_seconds: 1.0, layers: vec![EmbeddedLayer { number: 5, values }] }
}

/// 16 MiB of frames, in memory.
fn large(path: &str) -> Embedding {
    embedding(path, &vec![0.123; 4 << 20])
}

/// One frame.
fn small(path: &str) -> Embedding {
    embedding(path, &[0.5; DIM])
}

#[track_caller]
fn assert_full(what: Format, result: Result<(), StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{what}: {error:?}");
    assert!(error.to_string().starts_with("the disk is full: cannot write "), "{what}: {error}");
}

/// One test, because all of it shares one disk.
#[test]
fn a_full_disk_is_an_error_that_says_so_and_leaves_nothing() {
    let Some(disk) = small_disk() else { return };
    let folder = tempfile::tempdir_in(&disk).unwrap();
    let num_files = || fs_err::read_dir(folder.path()).unwrap().count();
    for format in Format::ALL {
        let path = folder.path().join("out").with_extension(format.name());
        assert_full(format, write_embedding(&path, format, &space(), &mut large("large")));
        assert_eq!(num_files(), 0, "{format}");

        // A file that is there stays what it was.
        write_embedding(&path, format, &space(), &mut small("small")).unwrap();
        assert_full(format, write_embedding(&path, format, &space(), &mut large("large")));
        assert!(matches!(output_state(&path, format, &space()), Ok(OutputState::Complete { .. })), "{format}");
        fs_err::remove_dir_all(folder.path()).unwrap();
        fs_err::create_dir(folder.path()).unwrap();
    }
    for format in [Format::Jsonl, Format::Parquet] {
        let path = folder.path().join("table").with_extension(format.name());
        let mut table = TableWriter::create(&path, format, &space()).unwrap();
        table.push(&mut small("a")).unwrap();
        assert_full(format, table.push(&mut large("b")));
        table.push(&mut small("c")).unwrap();
        table.finish().unwrap();
        let table = TableWriter::resume(&path, format, &space()).unwrap();
        assert!(table.has("a") && !table.has("b") && table.has("c"), "{format}");
        drop(table);
        fs_err::remove_dir_all(folder.path()).unwrap();
        fs_err::create_dir(folder.path()).unwrap();
    }
    let mut spool = FrameSpool::new(0, DIM, 1 << 10, folder.path());
    let error = (0..64).try_for_each(|_| spool.push(&vec![0.5; 1 << 18])).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
}
