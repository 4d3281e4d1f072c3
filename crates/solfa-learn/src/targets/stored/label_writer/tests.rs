use safetensors::tensor::{Dtype, TensorView};

use super::*;
use crate::targets::stored::{ExpectedLabels, LabelStore};

fn description() -> LabelDescription {
    LabelDescription {
        data_sha256: "ab12".into(),
        window_seconds: 2.0,
        max_windows: Some(2),
        frames_per_window: 3,
        codes_per_codebook: vec![5, 9],
        teacher: "muq of run x, layer 9".into(),
    }
}

/// Three tracks, the second without a window.
fn written(folder: &Path) -> PathBuf {
    let path = folder.join("labels.safetensors");
    write_labels::<StoredTargetError>(&path, &description(), 3, |writer| {
        writer.push(0, &[0, 1, 2, 3, 4, 5])?;
        writer.push(0, &[4, 4, 4, 8, 8, 8])?;
        writer.push(2, &[1, 0, 1, 0, 1, 0])
    })
    .unwrap();
    path
}

#[test]
fn labels_read_back_by_track_and_window() {
    let folder = tempfile::tempdir().unwrap();
    let store = LabelStore::open(&written(folder.path())).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!((store.description(), store.num_tracks()), (&description(), 3));
    assert_eq!([0, 1, 2, 3, usize::MAX].map(|track| store.num_windows(track)), [2, 0, 1, 0, 0]);
    let codes = |track, window| store.codes(track, window).unwrap();
    assert_eq!(codes(0, 0).unwrap(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(codes(0, 1).unwrap(), [4, 4, 4, 8, 8, 8]);
    assert_eq!(codes(2, 0).unwrap(), [1, 0, 1, 0, 1, 0]);
    for (track, window) in [(0, 2), (1, 0), (2, 1), (3, 0), (usize::MAX, 0)] {
        assert_eq!(codes(track, window), None);
    }
    store.check(&ExpectedLabels::default()).unwrap();
}

#[test]
fn large_codebooks_and_no_windows_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.safetensors");
    let large = LabelDescription { codes_per_codebook: vec![70_000, 2], max_windows: None, ..description() };
    write_labels::<StoredTargetError>(&path, &large, 1, |writer| {
        (0..100).try_for_each(|window| writer.push(0, &[69_999, window, 0, 1, 1, 0]))
    })
    .unwrap();
    let store = LabelStore::open(&path).unwrap();
    assert_eq!(store.num_windows(0), 100);
    assert_eq!(store.codes(0, 99).unwrap().unwrap(), [69_999, 99, 0, 1, 1, 0]);
    write_labels::<StoredTargetError>(&path, &large, 0, |_| Ok(())).unwrap();
    assert_eq!(LabelStore::open(&path).unwrap().num_tracks(), 0);
}

#[test]
fn whole_windows_are_counted_up_to_the_limit() {
    let description = description();
    assert_eq!(description.window_samples(24_000), 48_000);
    let counts = [0, 47_999, 48_000, 96_000, 1 << 40].map(|samples| description.num_windows(samples, 24_000));
    assert_eq!(counts, [0, 0, 1, 2, 2]);
    let unlimited = LabelDescription { max_windows: None, ..description };
    assert_eq!(unlimited.num_windows(480_000, 24_000), 10);
}

#[test]
fn a_token_file_of_another_program_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.safetensors");
    let codes: Vec<u8> = [0_u16, 1, 2, 8, 7, 6].iter().flat_map(|code| code.to_le_bytes()).collect();
    let tensors = [
        ("codes", TensorView::new(Dtype::U16, vec![1, 2, 3], &codes).unwrap()),
        ("windows_per_track", TensorView::new(Dtype::U32, vec![1], &[1, 0, 0, 0]).unwrap()),
    ];
    let text = r#"{"data_sha256": "ab12", "window_seconds": 2, "frames_per_window": 3,
                   "codes_per_codebook": [5, 9], "teacher": "mine"}"#;
    let metadata = [("solfa_labels".to_owned(), text.to_owned())].into();
    safetensors::serialize_to_file(tensors, Some(metadata), &path).unwrap();
    let store = LabelStore::open(&path).unwrap();
    assert_eq!(store.codes(0, 0).unwrap().unwrap(), [0, 1, 2, 8, 7, 6]);
    assert_eq!(store.description().max_windows, None);

    let unknown = [("solfa_labels".to_owned(), text.replace("teacher", "author"))].into();
    let tensors = [("codes", TensorView::new(Dtype::U16, vec![1, 2, 3], &codes).unwrap())];
    safetensors::serialize_to_file(tensors.clone(), Some(unknown), &path).unwrap();
    let error = LabelStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("expected labels with a description") && error.contains("author"), "{error}");
    let known = [("solfa_labels".to_owned(), text.to_owned())].into();
    safetensors::serialize_to_file(tensors.clone(), Some(known), &path).unwrap();
    let error = LabelStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("expected a tensor `windows_per_track`, found [\"codes\"]"), "{error}");
    safetensors::serialize_to_file(tensors, None, &path).unwrap();
    assert!(LabelStore::open(&path).unwrap_err().to_string().contains("found none"));
}

#[test]
fn labels_of_something_else_are_refused_with_every_difference() {
    let folder = tempfile::tempdir().unwrap();
    let store = LabelStore::open(&written(folder.path())).unwrap();
    let own = description();
    let expected = ExpectedLabels {
        data_sha256: Some(own.data_sha256),
        num_tracks: Some(3),
        window_seconds: Some(2.0),
        frames_per_window: Some(3),
        codes_per_codebook: Some(vec![5, 9]),
        teacher: Some(own.teacher),
    };
    store.check(&expected).unwrap();
    let error = |expected: ExpectedLabels| store.check(&expected).unwrap_err().to_string();
    let found = error(ExpectedLabels { data_sha256: Some("cd".into()), num_tracks: Some(4), ..expected.clone() });
    assert!(found.contains("labels.safetensors: labels of another data set:\n  data_sha256: expected cd, found ab12"));
    assert!(found.ends_with("\n  tracks: expected 4, found 3"), "{found}");
    let found = error(ExpectedLabels {
        window_seconds: Some(2.5),
        frames_per_window: Some(4),
        codes_per_codebook: Some(vec![5]),
        teacher: Some("another".into()),
        ..expected
    });
    assert!(found.contains("labels that were made otherwise:"), "{found}");
    for part in [
        "window_seconds: expected 2.5, found 2",
        "frames_per_window: expected 4, found 3",
        "expected [5], found [5, 9]",
    ] {
        assert!(found.contains(part), "{found}");
    }
    assert!(found.ends_with("\n  teacher: expected another, found muq of run x, layer 9"), "{found}");
}

#[test]
fn what_cannot_be_written_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let before = fs::read(&path).unwrap();
    let error = |description: &LabelDescription, windows: &[(usize, &[u32])]| {
        let result = write_labels::<StoredTargetError>(&path, description, 3, |writer| {
            windows.iter().try_for_each(|&(track, codes)| writer.push(track, codes))
        });
        assert_eq!((fs::read(&path).unwrap(), fs::read_dir(folder.path()).unwrap().count()), (before.clone(), 1));
        result.unwrap_err().to_string()
    };
    let (own, zeros): (_, &[u32]) = (description(), &[0; 6]);
    assert_eq!(
        error(&own, &[(1, zeros), (0, zeros)]),
        "labels: a window of track 0 comes after one of track 1; 3 tracks are expected in order"
    );
    assert!(error(&own, &[(3, zeros)]).contains("a window of track 3 comes after one of track 0; 3 tracks"));
    assert_eq!(
        error(&own, &[(2, zeros), (2, zeros), (2, zeros)]),
        "labels: track 2 has more than the 2 windows that are expected at most"
    );
    assert_eq!(error(&own, &[(0, zeros), (0, &[0; 5])]), "labels: window 1 of track 0: expected 6 codes, found 5");
    assert_eq!(
        error(&own, &[(1, &[0, 0, 0, 8, 9, 0])]),
        "labels: window 0 of track 1, codebook 1, frame 1: expected a code below 9, found 9"
    );
    for (wrong, expected) in [
        (LabelDescription { window_seconds: f64::NAN, ..own.clone() }, "`window_seconds` is NaN"),
        (LabelDescription { frames_per_window: 0, ..own.clone() }, "`frames_per_window` is 0"),
        (LabelDescription { codes_per_codebook: Vec::new(), ..own.clone() }, "`codes_per_codebook` is []"),
        (LabelDescription { codes_per_codebook: vec![4, 0], ..own.clone() }, "`codes_per_codebook` is [4, 0]"),
        (LabelDescription { max_windows: Some(0), ..own.clone() }, "`max_windows` is Some(0)"),
    ] {
        let found = error(&wrong, &[]);
        assert!(found.contains(expected), "{found}");
    }
    let nowhere = folder.path().join("none/labels.safetensors");
    let found = write_labels::<StoredTargetError>(&nowhere, &own, 3, |_| Ok(())).unwrap_err().to_string();
    assert!(found.contains("labels.safetensors: cannot be written"), "{found}");
}

#[test]
fn damage_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let whole = fs::read(&path).unwrap();
    let opened = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        LabelStore::open(&path)
    };
    let error = |bytes: &[u8]| {
        let error = opened(bytes).unwrap_err().to_string();
        assert!(error.contains("labels.safetensors"), "{error}");
        error
    };
    for length in [0, 5, 8, 100, whole.len() - 36, whole.len() - 1] {
        error(&whole[..length]);
    }
    error(&[whole.as_slice(), &[1]].concat());
    // The counts lie in front of three windows of twelve bytes.
    let counts = whole.len() - 36 - 12;
    let mut changed = whole.clone();
    changed[counts + 4] = 1;
    let found = error(&changed);
    assert!(found.contains("codes: expected a shape of [4, 2, 3], found [3, 2, 3]"), "{found}");
    changed[counts] = 3;
    assert!(error(&changed).contains("track 0: expected 2 windows at most, found 3"));
    let mut changed = whole.clone();
    changed[counts + 12] = 5;
    let found = opened(&changed).unwrap().codes(0, 0).unwrap_err().to_string();
    assert_eq!(found, "labels: window 0 of track 0, codebook 0, frame 0: expected a code below 5, found 5");
}
