//! GiantSteps: keys of electronic dance music.
//!
//! Test: GiantSteps-key, 604 previews of two minutes (Knees et al., "Two data sets for tempo estimation and key detection in
//! electronic dance music annotated from user corrections", ISMIR 2015). Training and validation: GiantSteps-MTG-key
//! (Faraldo et al. 2016), the recordings of one key and full confidence, as in Korzeniowski and Widmer, "Genre-agnostic key
//! classification with convolutional neural networks", ISMIR 2018.
//!
//! Layout: the two repositories below the folder, with `annotations/key/ID.LOFI.key` (test) and
//! `annotations/annotations.txt`, `annotations/beatport_metadata.txt` (training), and `ID.LOFI.mp3` (or another extension)
//! anywhere. A recording gives a row for each full clip of 30 s, with `ori_uid` (its number in seven digits),
//! `segment_start` and `segment_end`.
//!
//! Validation is that of Castellon, Donahue and Liang, "Codified audio language modeling learns useful representations for
//! music information retrieval", ISMIR 2021, and of MARBLE: an artist is in it whose lower-case name's SHA-1, as a number,
//! leaves 100 or more when divided by 116; so are, in two passes over the list, all artists that worked with one who is.
//!
//! MARBLE v1's own files are read as well: `giantsteps_clips/meta.json` with `wav/CLIP.wav`.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use sha1::{Digest, Sha1};

use super::folder::{Folder, stem};
use super::gather::{Candidate, Gathered, Stretch};
use super::table::Table;
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::dataset::Split;
use crate::dataset::classes::key_class;

const SPLIT_RULE: &str = "test GiantSteps; train and val GiantSteps-MTG, by a hash of the artist, with collaborators";

/// Seconds of a clip.
const CLIP_SECONDS: f64 = 30.0;

pub(super) const SETS: &[KnownDataSet] = &[KnownDataSet {
    name: "giantsteps-key",
    title: "GiantSteps and GiantSteps-MTG, keys",
    task: "one of 24 keys, clips of 30 s",
    paper: "Knees et al. 2015; Faraldo et al. 2016",
    layout: "the two repositories (annotations/) and ID.LOFI.mp3 below any folder; or MARBLE v1's \
             giantsteps_clips/meta.json with wav/",
    split_rule: SPLIT_RULE,
    licence: "annotations: see the repositories; recordings are previews of Beatport's, for research",
    origin: "github.com/GiantSteps/giantsteps-key-dataset and giantsteps-mtg-key-dataset",
    expected: ExpectedRows::UNKNOWN,
    gather,
}];

fn gather(folder: &Folder, _: &ImportOptions) -> Result<Gathered, ImportError> {
    if let Some(meta) = folder.find("giantsteps_clips/meta.json").or_else(|| folder.find("meta.json")) {
        return gather_marble(folder, meta);
    }
    let mut gathered = Gathered::new(SPLIT_RULE);
    let annotations = folder.find("annotations/annotations.txt");
    // The MTG repository has a folder of keys as well.
    let of_training = annotations.and_then(Path::parent);
    let keys: Vec<&Path> = folder
        .files()
        .iter()
        .map(std::path::PathBuf::as_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "key"))
        .filter(|path| path.parent().is_some_and(|folder| folder.ends_with("annotations/key")))
        .filter(|path| of_training.is_none_or(|training| !path.starts_with(training)))
        .collect();
    if annotations.is_none() && keys.is_empty() {
        let expected = "annotations/key/ID.LOFI.key (test) and annotations/annotations.txt (train)";
        return Err(folder.layout_error("GiantSteps", expected));
    }
    let mut num_train = 0;
    if let Some(annotations) = annotations {
        num_train = add_training(folder, annotations, &mut gathered)?;
    }
    for path in &keys {
        let text = folder.text(path)?;
        let name = stem(path);
        match key_class(text.lines().next().unwrap_or_default()) {
            Some(key) => add(&mut gathered, folder, name.trim_end_matches(".LOFI"), key, Split::Test),
            None => gathered.leave_out(path.display(), format!("`{}` is not one of the 24 keys", text.trim())),
        }
    }
    gathered.notes.push(format!("training and validation: {num_train} recordings, 1077 expected"));
    gathered.notes.push(format!("test: {} recordings, 604 expected (about 2406 clips)", keys.len()));
    Ok(gathered)
}

fn add(gathered: &mut Gathered, folder: &Folder, id: &str, key: &str, split: Split) {
    let mut candidate = Candidate::new(folder.find_audio(&format!("{id}.LOFI")), key, split);
    candidate.stretch = Stretch::Clips(CLIP_SECONDS);
    candidate.ori_uid = Some(format!("{id:0>7}"));
    gathered.candidates.push(candidate);
}

/// Adds the recordings of GiantSteps-MTG and says how many.
fn add_training(folder: &Folder, annotations: &Path, gathered: &mut Gathered) -> Result<usize, ImportError> {
    let metadata = annotations.with_file_name("beatport_metadata.txt");
    let metadata = Table::read(&folder.absolute(&metadata), b'\t')?;
    let (id, artist) = (metadata.column("ID")?, metadata.column("ARTIST")?);
    let artists: Vec<(&str, Vec<&str>)> =
        metadata.rows().iter().map(|row| (row.cell(id), names(row.cell(artist)))).collect();
    let validation = validation_artists(&artists);
    let artists: HashMap<&str, Vec<&str>> = artists.into_iter().collect();

    let table = Table::read(&folder.absolute(annotations), b'\t')?;
    let (id, key, confidence) = (table.column("ID")?, table.column("MANUAL KEY")?, table.column("C")?);
    let (mut num_added, mut num_unsure) = (0, 0);
    for row in table.rows() {
        let (id, key) = (row.cell(id), row.cell(key));
        if row.cell(confidence) != "2" || key.contains('/') {
            num_unsure += 1;
            continue;
        }
        let Some(key) = key_class(key) else {
            gathered.leave_out(id, format!("`{key}` is not one of the 24 keys"));
            continue;
        };
        let Some(artists) = artists.get(id) else {
            return Err(table.error(row, format!("recording {id} is not in beatport_metadata.txt")));
        };
        let is_validation = artists.iter().any(|artist| validation.contains(artist));
        add(gathered, folder, id, key, if is_validation { Split::Validation } else { Split::Train });
        num_added += 1;
    }
    gathered.notes.push(format!("{num_unsure} recordings of several keys or low confidence are left out"));
    Ok(num_added)
}

fn names(artists: &str) -> Vec<&str> {
    artists.split(',').map(str::trim).collect()
}

/// The artists of the validation split.
fn validation_artists<'names>(recordings: &[(&str, Vec<&'names str>)]) -> std::collections::HashSet<&'names str> {
    let all = || recordings.iter().flat_map(|(_, artists)| artists.iter().copied());
    let mut validation: std::collections::HashSet<&str> =
        all().filter(|artist| sha1_modulo(&artist.to_lowercase(), 116) >= 100).collect();
    for _ in 0..2 {
        for (_, artists) in recordings {
            if artists.iter().any(|artist| validation.contains(artist)) {
                validation.extend(artists);
            }
        }
    }
    validation
}

/// What the SHA-1 of a text, as a number, leaves when divided.
pub(super) fn sha1_modulo(text: &str, divisor: u64) -> u64 {
    Sha1::digest(text.as_bytes()).iter().fold(0, |rest, &byte| (rest * 256 + u64::from(byte)) % divisor)
}

/// MARBLE v1's `{clip: {split, y, clip: {audio_uid, ..}, ..}}`.
fn gather_marble(folder: &Folder, meta: &Path) -> Result<Gathered, ImportError> {
    let value = folder.json(meta)?;
    let wrong = |reason: String| ImportError::file(&folder.absolute(meta), reason);
    let clips = value.as_object().ok_or_else(|| wrong("expected an object of clips".into()))?;
    let mut gathered = Gathered::new("MARBLE v1's meta.json");
    for (uid, clip) in clips {
        let split =
            split_of(&clip["split"]).ok_or_else(|| wrong(format!("clip {uid}: unknown split {}", clip["split"])))?;
        let Some(key) = clip["y"].as_str().and_then(key_class) else {
            gathered.leave_out(uid, format!("{} is not one of the 24 keys", clip["y"]));
            continue;
        };
        let mut candidate = Candidate::new(folder.find_audio(&format!("wav/{uid}")), key, split);
        candidate.ori_uid = clip["clip"]["audio_uid"].as_str().map(str::to_owned);
        gathered.candidates.push(candidate);
    }
    Ok(gathered)
}

/// A split by the names that other programs give it.
pub(super) fn split_of(value: &Value) -> Option<Split> {
    serde_json::from_value(Value::String(value.as_str()?.to_lowercase())).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, left_out, rows, unreadable};
    use super::*;

    #[test]
    fn hashes_are_those_of_python() {
        // int(hashlib.sha1(text.encode()).hexdigest(), 16) % divisor
        for (text, divisor, expected) in
            [("deadmau5", 116, 94), ("avicii", 116, 73), ("", 10, 5), ("the beatles", 10, 6)]
        {
            assert_eq!(sha1_modulo(text, divisor), expected, "{text}");
        }
    }

    fn layout(place: &Place) {
        let key = "key-dataset/annotations/key";
        place.write(&format!("{key}/10.LOFI.key"), "D# minor\n");
        place.write(&format!("{key}/11.LOFI.key"), "- \n");
        place.write(&format!("{key}/12.LOFI.key"), "C major");
        place.write(&format!("{key}/13.LOFI.key"), "C major");
        place.wav("key-dataset/audio/10.LOFI.wav", 65.0);
        place.wav("key-dataset/audio/12.LOFI.wav", 29.0);
        let mtg = "mtg-key-dataset";
        place.write(&format!("{mtg}/annotations/key/20.LOFI.key"), "a minor");
        place.write(
            &format!("{mtg}/annotations/annotations.txt"),
            "ID\tMANUAL KEY\tC\tCOMMENTS\n20\tA minor\t2\t\n21\tF# major\t2\tx\n22\tC minor\t1\t\n\
             23\tC minor / D minor\t2\t\n24\tD dorian\t2\t\n25\tB minor\t2\t\n",
        );
        place.write(
            &format!("{mtg}/annotations/beatport_metadata.txt"),
            "ID\tTITLE\tARTIST\n20\tOne\tTRAIN\n21\tTwo\tVAL, Friend\n22\tx\tX\n23\tx\tX\n24\tx\tX\n25\tThree\tFriend\n"
                .replace("TRAIN", TRAIN_ARTIST)
                .replace("VAL", VALIDATION_ARTIST),
        );
        for id in [20, 21, 25] {
            place.wav(&format!("{mtg}/audio/{id}.LOFI.wav"), 30.5);
        }
    }

    const TRAIN_ARTIST: &str = "Ann";
    const VALIDATION_ARTIST: &str = "Artist 0";

    #[test]
    fn recordings_become_clips_in_the_splits_of_their_artists() {
        let place = Place::new();
        layout(&place);
        let imported = place.import("giantsteps-key");
        assert_eq!(
            rows(&imported),
            [
                ("mtg-key-dataset/audio/20.LOFI.wav", "A minor".into(), "train"),
                ("mtg-key-dataset/audio/21.LOFI.wav", "Gb major".into(), "val"),
                ("mtg-key-dataset/audio/25.LOFI.wav", "B minor".into(), "val"),
                ("key-dataset/audio/10.LOFI.wav", "Eb minor".into(), "test"),
                ("key-dataset/audio/10.LOFI.wav", "Eb minor".into(), "test"),
            ]
        );
        let last = &imported.records[4];
        assert_eq!((last.segment(), last.ori_uid.as_deref()), (Some((30.0, 60.0)), Some("0000010")));
        assert_eq!(imported.report.missing, ["13.LOFI.wav"]);
        assert_eq!(
            left_out(&imported),
            "24: `D dorian` is not one of the 24 keys\n\
             key-dataset/annotations/key/11.LOFI.key: `-` is not one of the 24 keys\n"
        );
        let notes = imported.report.notes.join("\n");
        assert!(notes.contains("2 recordings of several keys or low confidence"), "{notes}");
        assert!(notes.contains("1 recordings are shorter than one clip"), "{notes}");
    }

    #[test]
    fn marble_v1s_clips_are_read() {
        let place = Place::new();
        place.write(
            "GS/giantsteps_clips/meta.json",
            r#"{"0000010-0": {"split": "test", "y": "Eb minor", "clip": {"audio_uid": "0000010"}},
                "0000020-0": {"split": "train", "y": "C major", "clip": {"audio_uid": "0000020"}},
                "0000021-0": {"split": "valid", "y": "C major", "clip": {"audio_uid": "0000021"}},
                "0000022-0": {"split": "valid", "y": "C lydian", "clip": {"audio_uid": "0000022"}}}"#,
        );
        for uid in ["0000010-0", "0000020-0"] {
            place.wav(&format!("GS/giantsteps_clips/wav/{uid}.wav"), 0.2);
        }
        place.write("GS/giantsteps_clips/wav/0000021-0.wav", "x");
        let imported = place.import("giantsteps-key");
        assert_eq!(
            rows(&imported),
            [
                ("GS/giantsteps_clips/wav/0000010-0.wav", "Eb minor".into(), "test"),
                ("GS/giantsteps_clips/wav/0000020-0.wav", "C major".into(), "train"),
            ]
        );
        assert_eq!(imported.records[1].ori_uid.as_deref(), Some("0000020"));
        assert_eq!(unreadable(&imported), ["0000021-0.wav"]);
        assert!(left_out(&imported).contains("\"C lydian\" is not one of the 24 keys"));
    }

    #[test]
    fn another_folder_is_told_apart() {
        let place = Place::new();
        place.write("x.txt", "");
        let error = place.try_import("giantsteps-key", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("does not look like GiantSteps"), "{error}");
    }
}
