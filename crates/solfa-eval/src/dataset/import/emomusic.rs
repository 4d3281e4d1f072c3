//! EmoMusic: arousal and valence.
//!
//! Soleymani et al., "1000 songs for emotional analysis of music", CrowdMM 2013: 744 excerpts of 45 s with the mean of many
//! people's arousal and valence.
//!
//! Layout: `songs_info.csv`, `static_annotations.csv` and `ID.mp3` (usually in `clips_45seconds/`) below any folder. Test is
//! the column `Mediaeval 2013 set` = `evaluation`; of the rest, an artist's excerpts are validation if the SHA-1 of the name
//! (lower-case, only letters and single spaces), as a number, leaves 8 or 9 when divided by 10: the split of Castellon,
//! Donahue and Liang (ISMIR 2021) and of MARBLE. Labels are `[arousal, valence]`, less the mean and over the standard
//! deviation of all excerpts that are not in the test split, as there.
//!
//! MARBLE v1's own files are read as well: `emomusic/meta.json` with `wav/ID.wav`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::folder::Folder;
use super::gather::{Candidate, Gathered};
use super::giantsteps::{sha1_modulo, split_of};
use super::table::Table;
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::dataset::Split;

const SPLIT_RULE: &str = "test the released evaluation set; train and val by a hash of the artist";

pub(super) const SETS: &[KnownDataSet] = &[KnownDataSet {
    name: "emomusic",
    title: "EmoMusic, arousal and valence",
    task: "two numbers: arousal, valence",
    paper: "Soleymani et al. 2013",
    layout: "songs_info.csv, static_annotations.csv, clips_45seconds/ID.mp3; or MARBLE v1's emomusic/meta.json with wav/",
    split_rule: SPLIT_RULE,
    licence: "for non-commercial research",
    origin: "cvml.unige.ch/databases/emoMusic",
    expected: ExpectedRows { test: Some(125), ..ExpectedRows::in_all(744) },
    gather,
}];

fn gather(folder: &Folder, _: &ImportOptions) -> Result<Gathered, ImportError> {
    let info = folder.find("songs_info.csv");
    if info.is_none()
        && let Some(meta) = folder.find("emomusic/meta.json").or_else(|| folder.find("meta.json"))
    {
        return gather_marble(folder, meta);
    }
    let (Some(info), Some(annotations)) = (info, folder.find("static_annotations.csv")) else {
        return Err(folder.layout_error("EmoMusic", "songs_info.csv and static_annotations.csv"));
    };
    let info = Table::read(&folder.absolute(info), b',')?;
    let columns = ["song_id", "Artist", "Mediaeval 2013 set"].map(|name| info.column(name));
    let [id, artist, set] = columns;
    let (id, artist, set) = (id?, artist?, set?);
    let mut songs: HashMap<u64, Split> = HashMap::new();
    for row in info.rows() {
        let split = match row.cell(set) {
            "evaluation" => Split::Test,
            "development" if sha1_modulo(&plain(row.cell(artist)), 10) >= 8 => Split::Validation,
            "development" => Split::Train,
            other => {
                let reason = format!("expected development or evaluation in `Mediaeval 2013 set`, found `{other}`");
                return Err(info.error(row, reason));
            }
        };
        songs.insert(info.number(row, id)? as u64, split);
    }
    let annotations = Table::read(&folder.absolute(annotations), b',')?;
    let [id, arousal, valence] = ["song_id", "mean_arousal", "mean_valence"].map(|name| annotations.column(name));
    let (id, arousal, valence) = (id?, arousal?, valence?);
    let mut found: Vec<(u64, Split, [f64; 2])> = Vec::new();
    for row in annotations.rows() {
        let number = annotations.number(row, id)? as u64;
        let Some(&split) = songs.get(&number) else {
            return Err(annotations.error(row, format!("song {number} is not in songs_info.csv")));
        };
        found.push((number, split, [annotations.number(row, arousal)?, annotations.number(row, valence)?]));
    }
    let mut gathered = Gathered::new(SPLIT_RULE);
    let scales = [0, 1].map(|dimension| {
        let known = found.iter().filter(|(_, split, _)| *split != Split::Test);
        mean_and_deviation(known.map(|(_, _, values)| values[dimension]))
    });
    for (number, split, values) in found {
        let scaled = [0, 1].map(|dimension| (values[dimension] - scales[dimension].0) / scales[dimension].1);
        gathered.candidates.push(Candidate::new(recording(folder, number), json!(scaled), split));
    }
    gathered.notes.push(format!(
        "labels are z-scores over train and val: arousal {:.4} ± {:.4}, valence {:.4} ± {:.4}",
        scales[0].0, scales[0].1, scales[1].0, scales[1].1
    ));
    Ok(gathered)
}

fn recording(folder: &Folder, number: u64) -> PathBuf {
    let names = [format!("clips_45seconds/{number}"), format!("wav/{number:04}"), number.to_string()];
    let found = names.iter().map(|name| folder.find_audio(name)).find(|path| folder.has(path));
    found.unwrap_or_else(|| PathBuf::from(format!("clips_45seconds/{number}.mp3")))
}

/// The letters of an artist's name, in lower case, with single spaces.
fn plain(artist: &str) -> String {
    let kept: String = artist
        .to_lowercase()
        .chars()
        .filter(|character| character.is_ascii_alphabetic() || (character.is_ascii() && character.is_whitespace()))
        .collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The mean and the deviation of a population; a deviation of 1 where all values are the same.
fn mean_and_deviation(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.collect();
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}

/// MARBLE v1's `{id: {split, y: [arousal, valence], ..}}`, already scaled.
fn gather_marble(folder: &Folder, meta: &Path) -> Result<Gathered, ImportError> {
    let value = folder.json(meta)?;
    let wrong = |reason: String| ImportError::file(&folder.absolute(meta), reason);
    let songs = value.as_object().ok_or_else(|| wrong("expected an object of songs".into()))?;
    let mut gathered = Gathered::new("MARBLE v1's meta.json");
    for (uid, song) in songs {
        let split =
            split_of(&song["split"]).ok_or_else(|| wrong(format!("song {uid}: unknown split {}", song["split"])))?;
        let is_pair = song["y"].as_array().is_some_and(|y| y.len() == 2 && y.iter().all(|value| value.is_number()));
        let number = uid.parse().ok().filter(|_| is_pair);
        let number = number.ok_or_else(|| wrong(format!("song {uid}: expected a number with two numbers in `y`")))?;
        gathered.candidates.push(Candidate::new(recording(folder, number), song["y"].clone(), split));
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, counts, rows, unreadable};
    use super::*;

    #[test]
    fn labels_are_scaled_by_what_is_not_test() {
        let place = Place::new();
        place.write(
            "annotations/songs_info.csv",
            "song_id,file_name,Artist,Song title,start of the segment (min.sec),end of the segment (min.sec),Genre,\
             Mediaeval 2013 set\n2,2.mp3,The  Beatles!\t,x,0.1,0.46,Rock,development\t\n3,3.mp3,\"Ä d\",x,0,0,Rock,development\n\
             4,4.mp3,Z,x,0,0,Rock,evaluation\n5,5.mp3,Z,x,0,0,Rock,evaluation\n6,6.mp3,The Beatles,x,0,0,Rock,development\n",
        );
        place.write(
            "annotations/static_annotations.csv",
            "song_id,mean_arousal,std_arousal,mean_valence,std_valence\n2,1.0,9,5.0,9\n3,3.0,9,5.0,9\n4,4.0,9,7.0,9\n\
             5,4.0,9,7.0,9\n6,2.0,9,5.0,9\n",
        );
        for id in [2, 3, 4] {
            place.wav(&format!("clips_45seconds/{id}.wav"), 0.2);
        }
        place.write("clips_45seconds/5.mp3", "x");
        let imported = place.import("emomusic");
        let deviation = (2.0_f64 / 3.0).sqrt();
        assert_eq!(imported.records[0].label, json!([-1.0 / deviation, 0.0]));
        assert_eq!(imported.records[2].label, json!([2.0 / deviation, 2.0]));
        assert_eq!(imported.records[2].split, Some(Split::Test));
        assert_eq!(imported.report.missing, ["clips_45seconds/6.mp3"]);
        assert_eq!(unreadable(&imported), ["5.mp3"]);
        assert_eq!(plain("The  Beatles!\t"), "the beatles");
        // sha1("the beatles") % 10 is 6 and sha1("d") % 10 is 8, by Python.
        assert_eq!([0, 1].map(|row: usize| imported.records[row].split), [Some(Split::Train), Some(Split::Validation)]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let place = Place::new();
        let error = || place.try_import("emomusic", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error().contains("expected songs_info.csv and static_annotations.csv"));
        place.write("songs_info.csv", "song_id,Artist,Mediaeval 2013 set\n2,A,training\n");
        place.write("static_annotations.csv", "song_id,mean_arousal\n2,x\n");
        assert!(error().contains("songs_info.csv, line 2: expected development or evaluation"), "{}", error());
        place.write("songs_info.csv", "song_id,Artist,Mediaeval 2013 set\n2,A,development\n");
        assert!(error().contains("expected a column `mean_valence`, found the columns song_id, mean_arousal"));
        place.write("static_annotations.csv", "song_id,mean_arousal,mean_valence\n2,x,1\n");
        assert!(error().contains("static_annotations.csv, line 2: expected a number in `mean_arousal`, found `x`"));
        place.write("static_annotations.csv", "song_id,mean_arousal,mean_valence\n7,1,1\n");
        assert!(error().contains("line 2: song 7 is not in songs_info.csv"));
    }

    #[test]
    fn marble_v1s_file_is_read() {
        let place = Place::new();
        place.write(
            "EMO/emomusic/meta.json",
            r#"{"0002": {"split": "train", "y": [0.5, -1.0]}, "0003": {"split": "valid", "y": [0, 1]},
                "0004": {"split": "test", "y": [0, 1]}}"#,
        );
        for id in ["0002", "0003", "0004"] {
            place.wav(&format!("EMO/emomusic/wav/{id}.wav"), 0.2);
        }
        let imported = place.import("emomusic");
        assert_eq!(counts(&imported), [1, 1, 1]);
        assert_eq!(rows(&imported)[0], ("EMO/emomusic/wav/0002.wav", "[0.5,-1.0]".into(), "train"));
        place.write("EMO/emomusic/meta.json", r#"{"0002": {"split": "train", "y": [0.5]}}"#);
        let error = place.try_import("emomusic", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.ends_with("meta.json: song 0002: expected a number with two numbers in `y`"), "{error}");
    }
}
