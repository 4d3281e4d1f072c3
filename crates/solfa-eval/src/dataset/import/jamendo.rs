//! MTG-Jamendo: tags of genre, instrument, mood and theme.
//!
//! Bogdanov et al., "The MTG-Jamendo dataset for automatic music tagging", ML4MD 2019: 55,000 whole songs under Creative
//! Commons licences.
//!
//! Layout: `split-0/autotagging_KIND-train.tsv`, `-validation.tsv` and `-test.tsv` of the repository (`TRACK_ID`, `ARTIST_ID`,
//! `ALBUM_ID`, `PATH`, `DURATION`, then the tags, each in a column), and the songs below any folder: `14/214.mp3`, or
//! `14/214.low.mp3` of the smaller copy. Tags are written as they are, `genre---rock`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::gather::{Candidate, Gathered};
use super::table::Table;
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::dataset::Split;
use crate::dataset::classes::{class_list, without_kind};

const SPLIT_RULE: &str = "split-0 of the repository";

macro_rules! jamendo {
    ($name:literal, $title:literal, $task:literal, $expected:literal, $kind:literal) => {
        KnownDataSet {
            name: $name,
            title: $title,
            task: $task,
            paper: "Bogdanov et al. 2019",
            layout: concat!(
                "split-0/autotagging_",
                $kind,
                "-{train,validation,test}.tsv, and NN/ID.mp3 or NN/ID.low.mp3 below any folder"
            ),
            split_rule: SPLIT_RULE,
            licence: "metadata CC BY-NC-SA 4.0; each recording under its own Creative Commons licence",
            origin: "github.com/MTG/mtg-jamendo-dataset",
            expected: ExpectedRows::in_all($expected),
            gather: |folder, options| gather(folder, options, $name, $kind),
        }
    };
}

pub(super) const SETS: &[KnownDataSet] = &[
    jamendo!("jamendo-top50", "MTG-Jamendo, 50 tags", "any of 50 tags", 54_380, "top50tags"),
    jamendo!("jamendo-genre", "MTG-Jamendo, genres", "any of 87 genres", 55_215, "genre"),
    jamendo!("jamendo-instrument", "MTG-Jamendo, instruments", "any of 40 instruments", 25_135, "instrument"),
    jamendo!("jamendo-mood-theme", "MTG-Jamendo, moods and themes", "any of 56 moods and themes", 18_486, "moodtheme"),
];

/// The column in which tags begin.
const FIRST_TAG: usize = 5;

fn gather(folder: &Folder, _: &ImportOptions, name: &str, kind: &str) -> Result<Gathered, ImportError> {
    let known = class_list(name).unwrap_or_default();
    let mut gathered = Gathered::new(SPLIT_RULE);
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    for (split_name, split) in [("train", Split::Train), ("validation", Split::Validation), ("test", Split::Test)] {
        let file = format!("autotagging_{kind}-{split_name}.tsv");
        let Some(list) = folder.find(&format!("split-0/{file}")).or_else(|| folder.find(&file)) else {
            return Err(folder.layout_error("MTG-Jamendo", format!("split-0/{file}")));
        };
        let table = Table::read(&folder.absolute(list), b'\t')?;
        let path = table.column("PATH")?;
        for row in table.rows() {
            if row.num_cells() <= FIRST_TAG {
                return Err(table.error(row, format!("expected tags from column {} on, found none", FIRST_TAG + 1)));
            }
            let tags = (FIRST_TAG..row.num_cells()).map(|column| row.cell(column)).filter(|tag| !tag.is_empty());
            let (of_list, others): (Vec<&str>, Vec<&str>) =
                tags.partition(|tag| known.iter().any(|name| name == without_kind(tag)));
            for tag in others {
                *unknown.entry(tag.to_owned()).or_default() += 1;
            }
            gathered.candidates.push(Candidate::new(recording(folder, row.cell(path)), of_list, split));
        }
    }
    for (tag, count) in unknown {
        gathered.leave_out(format!("tag {tag}"), format!("it is not in the list of this task ({count} songs)"));
    }
    Ok(gathered)
}

/// A song, or the smaller copy of it.
fn recording(folder: &Folder, path: &str) -> PathBuf {
    let small = path.strip_suffix(".mp3").map(|stem| format!("{stem}.low.mp3"));
    let found = folder.find(path).or_else(|| folder.find(&small?));
    found.map_or_else(|| PathBuf::from(path), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, left_out, rows, unreadable};
    use super::*;

    fn list(rows: &[(&str, &str)]) -> String {
        let mut text = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n".to_owned();
        for (path, tags) in rows {
            text.push_str(&format!("track_1\tartist_1\talbum_1\t{path}\t100.0\t{tags}\n"));
        }
        text
    }

    #[test]
    fn split_0_is_read_with_either_copy_of_the_songs() {
        let place = Place::new();
        let lists = "repository/data/splits/split-0/autotagging";
        place.write(
            &format!("{lists}_genre-train.tsv"),
            list(&[("14/214.mp3", "genre---rock\tgenre---polka"), ("15/215.mp3", "genre---pop")]),
        );
        place.write(&format!("{lists}_genre-validation.tsv"), list(&[("16/216.mp3", "genre---pop")]));
        place.write(
            &format!("{lists}_genre-test.tsv"),
            list(&[("17/217.mp3", "genre---60s"), ("18/218.mp3", "genre---60s")]),
        );
        place.wav("audio/14/214.mp3", 0.2);
        place.wav("audio/15/215.low.mp3", 0.2);
        place.wav("audio/16/216.mp3", 0.2);
        place.write("audio/18/218.mp3", "x");
        let imported = place.import("jamendo-genre");
        assert_eq!(
            rows(&imported),
            [
                ("audio/14/214.mp3", r#"["genre---rock"]"#.into(), "train"),
                ("audio/15/215.low.mp3", r#"["genre---pop"]"#.into(), "train"),
                ("audio/16/216.mp3", r#"["genre---pop"]"#.into(), "val"),
            ]
        );
        assert_eq!(left_out(&imported), "tag genre---polka: it is not in the list of this task (1 songs)\n");
        assert_eq!(imported.report.missing, ["17/217.mp3"]);
        assert_eq!(unreadable(&imported), ["218.mp3"]);
        let error = place.try_import("jamendo-mood-theme", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("expected split-0/autotagging_moodtheme-train.tsv"), "{error}");
        place.write(&format!("{lists}_genre-test.tsv"), "TRACK_ID\tPATH\nx\ty\n");
        let error = place.try_import("jamendo-genre", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("genre-test.tsv, line 2: expected tags from column 6 on"), "{error}");
    }
}
