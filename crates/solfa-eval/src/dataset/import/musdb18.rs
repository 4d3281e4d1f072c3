//! MUSDB18-HQ: separation of songs into stems.
//!
//! Rafii et al., "The MUSDB18 corpus for music separation", 2017, and its uncompressed copy, 2019: 150 songs.
//!
//! Layout: `train/SONG/` and `test/SONG/` with `mixture.wav`, `vocals.wav`, `drums.wav`, `bass.wav` and `other.wav`. The 14
//! validation songs are those that the `musdb` package sets aside. The stems of MUSDB18 itself are streams of one
//! `.stem.mp4`, which have to be unpacked first.

use super::folder::{Folder, folders_of, stem};
use super::gather::{Candidate, Gathered};
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::dataset::Split;
use crate::dataset::classes::MUSDB18_STEMS;

const SPLIT_RULE: &str = "train and test folders; 14 validation songs of the musdb package";

pub(super) const SETS: &[KnownDataSet] = &[KnownDataSet {
    name: "musdb18",
    title: "MUSDB18-HQ, separation",
    task: "the stems vocals, drums, bass and other of a mixture",
    paper: "Rafii et al. 2017",
    layout: "{train,test}/SONG/ with mixture.wav, vocals.wav, drums.wav, bass.wav, other.wav",
    split_rule: SPLIT_RULE,
    licence: "for education and research, not commercial; songs under several licences",
    origin: "zenodo.org/records/3338373 (HQ)",
    expected: ExpectedRows::of_splits(86, 14, 50),
    gather,
}];

/// The validation songs of the `musdb` package (configs/mus.yaml).
const VALIDATION_SONGS: [&str; 14] = [
    "Actions - One Minute Smile",
    "Clara Berry And Wooldog - Waltz For My Victims",
    "Johnny Lokke - Promises & Lies",
    "Patrick Talbot - A Reason To Leave",
    "Triviul - Angelsaint",
    "Alexander Ross - Goodbye Bolero",
    "Fergessen - Nos Palpitants",
    "Leaf - Summerghost",
    "Skelpolu - Human Mistakes",
    "Young Griffo - Pennies",
    "ANiMAL - Rockshow",
    "James May - On The Line",
    "Meaxic - Take A Step",
    "Traffic Experiment - Sirens",
];

fn gather(folder: &Folder, _: &ImportOptions) -> Result<Gathered, ImportError> {
    let mut gathered = Gathered::new(SPLIT_RULE);
    let mut has_packed = false;
    // A song whose mixture is missing is still one of the data set.
    let mut songs = std::collections::BTreeSet::new();
    for path in folder.audio() {
        has_packed |= path.to_string_lossy().ends_with(".stem.mp4");
        let name = stem(path);
        if name == "mixture" || MUSDB18_STEMS.contains(&name.as_str()) {
            songs.extend(path.parent());
        }
    }
    for song in songs {
        let folders = folders_of(&song.join("mixture.wav"));
        let [.., part, title] = folders.as_slice() else { continue };
        let split = match part.as_str() {
            "test" => Split::Test,
            "train" if VALIDATION_SONGS.contains(&title.as_str()) => Split::Validation,
            "train" => Split::Train,
            _ => {
                gathered.leave_out(song.display(), "it is neither in `train` nor in `test`");
                continue;
            }
        };
        let mut candidate = Candidate::new(song.join("mixture.wav"), "", split);
        candidate.stems = MUSDB18_STEMS.map(|name| (name, song.join(format!("{name}.wav")))).to_vec();
        gathered.candidates.push(candidate);
    }
    if gathered.candidates.is_empty() {
        let expected = if has_packed {
            "train/SONG/mixture.wav and its stems as WAV files; unpack the .stem.mp4 files first, or get MUSDB18-HQ,"
        } else {
            "train/SONG/mixture.wav, vocals.wav, drums.wav, bass.wav, other.wav, and the same in test/"
        };
        return Err(folder.layout_error("MUSDB18-HQ", expected));
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, counts, left_out};
    use super::*;

    fn song(place: &Place, folder: &str) {
        for name in ["mixture"].iter().chain(&MUSDB18_STEMS) {
            place.wav(&format!("{folder}/{name}.wav"), 0.2);
        }
    }

    #[test]
    fn songs_have_stems_and_the_packages_validation_songs() {
        let place = Place::new();
        song(&place, "musdb/train/A - B");
        song(&place, "musdb/train/Leaf - Summerghost");
        song(&place, "musdb/test/C - D");
        song(&place, "musdb/test/Without Bass");
        song(&place, "musdb/test/Broken");
        song(&place, "musdb/more/E - F");
        fs_err::remove_file(place.path("musdb/test/Without Bass/bass.wav")).unwrap();
        place.write("musdb/test/Broken/vocals.wav", "x");
        let imported = place.import("musdb18");
        assert_eq!(counts(&imported), [1, 1, 1]);
        let first = &imported.records[0];
        assert_eq!(first.audio_path, "musdb/test/C - D/mixture.wav");
        assert_eq!(first.label["stems"]["other"], "musdb/test/C - D/other.wav");
        assert_eq!(first.label["stems"].as_object().unwrap().len(), 4);
        assert_eq!(imported.report.missing, ["musdb/test/Without Bass/bass.wav"]);
        assert_eq!(imported.report.unreadable.len(), 1);
        assert_eq!(left_out(&imported), "musdb/more/E - F: it is neither in `train` nor in `test`\n");
    }

    #[test]
    fn packed_stems_have_to_be_unpacked() {
        let place = Place::new();
        place.write("train/A - B.stem.mp4", "");
        let error = place.try_import("musdb18", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("unpack the .stem.mp4 files first"), "{error}");
    }
}
