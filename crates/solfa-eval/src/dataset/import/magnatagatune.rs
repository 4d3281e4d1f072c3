//! MagnaTagATune: the 50 most frequent tags.
//!
//! Law et al., "Evaluation of algorithms using games: The case of music tagging", ISMIR 2009: 25,863 clips of 29 s.
//!
//! Layout: `annotations_final.csv` (tab-separated: `clip_id`, a column of 0 and 1 for each tag, `mp3_path`) and the clips below
//! any folder, such as `0/artist-album-01-title-0-29.mp3`. The split is that of the field: by the first hexadecimal digit of
//! the path, 0 to b for training, c for validation, d to f for test (12:1:3). Clips without any of the 50 tags stay, as in
//! MARBLE. Three of the clips are empty files, which is reported.
//!
//! MARBLE v1's own files are read as well: `train.tsv`, `valid.tsv`, `test.tsv` (`index<TAB>path`) with `tags.npy` and
//! `binary_label.npy`.

use std::path::Path;

use super::folder::Folder;
use super::gather::{Candidate, Gathered};
use super::npy::{self, Values};
use super::table::Table;
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::dataset::Split;
use crate::dataset::classes::class_list;

const SPLIT_RULE: &str = "by folder: 0 to b train, c val, d to f test";

pub(super) const SETS: &[KnownDataSet] = &[KnownDataSet {
    name: "mtt",
    title: "MagnaTagATune, 50 tags",
    task: "any of 50 tags",
    paper: "Law et al. 2009",
    layout: "annotations_final.csv, and 0/ to f/ with MP3 clips below any folder; or MARBLE v1's train.tsv, valid.tsv, \
             test.tsv, tags.npy, binary_label.npy",
    split_rule: SPLIT_RULE,
    licence: "annotations for research; recordings Magnatune, CC BY-NC-SA",
    origin: "mirg.city.ac.uk/codeapps/the-magnatagatune-dataset",
    expected: ExpectedRows::of_splits(18_709, 1_825, 5_329),
    gather,
}];

fn gather(folder: &Folder, _: &ImportOptions) -> Result<Gathered, ImportError> {
    if let Some(annotations) = folder.find("annotations_final.csv") {
        gather_annotations(folder, annotations)
    } else if let Some(labels) = folder.find("binary_label.npy") {
        gather_marble(folder, labels)
    } else {
        Err(folder.layout_error("MagnaTagATune", "annotations_final.csv"))
    }
}

/// The split of a path's first digit.
fn split_of(path: &str) -> Option<Split> {
    match path.chars().next()?.to_digit(16)? {
        0..=11 => Some(Split::Train),
        12 => Some(Split::Validation),
        _ => Some(Split::Test),
    }
}

fn gather_annotations(folder: &Folder, annotations: &Path) -> Result<Gathered, ImportError> {
    let table = Table::read(&folder.absolute(annotations), b'\t')?;
    let path = table.column("mp3_path")?;
    let tags: Vec<(String, usize)> = class_list("mtt")
        .unwrap_or_default()
        .into_iter()
        .map(|tag| Ok((tag.clone(), table.column(&tag)?)))
        .collect::<Result<_, ImportError>>()?;
    let mut gathered = Gathered::new(SPLIT_RULE);
    for row in table.rows() {
        let path = row.cell(path);
        let Some(split) = split_of(path) else {
            return Err(table.error(row, format!("expected a path that begins with 0 to f, found `{path}`")));
        };
        let mut label = Vec::new();
        for (tag, column) in &tags {
            match row.cell(*column) {
                "1" => label.push(tag.as_str()),
                "0" => {}
                other => return Err(table.error(row, format!("expected 0 or 1 for `{tag}`, found `{other}`"))),
            }
        }
        gathered.candidates.push(Candidate::new(folder.find_or_missing(path), label, split));
    }
    Ok(gathered)
}

fn gather_marble(folder: &Folder, labels: &Path) -> Result<Gathered, ImportError> {
    let beside = |name: &str| labels.with_file_name(name);
    let tags = npy::read(&folder.absolute(&beside("tags.npy")))?;
    let Values::Texts(tags) = tags.values else {
        return Err(ImportError::file(&folder.absolute(&beside("tags.npy")), "expected texts, found numbers"));
    };
    let array = npy::read(&folder.absolute(labels))?;
    let (Values::Numbers(values), [num_clips, num_tags]) = (array.values, array.shape.as_slice()) else {
        let expected = format!("expected numbers of shape [clips, tags], found shape {:?}", array.shape);
        return Err(ImportError::file(&folder.absolute(labels), expected));
    };
    if *num_tags != tags.len() {
        let reason = format!("expected {} columns, one for each of tags.npy, found {num_tags}", tags.len());
        return Err(ImportError::file(&folder.absolute(labels), reason));
    }
    let mut gathered = Gathered::new("MARBLE v1's train.tsv, valid.tsv and test.tsv");
    for (name, split) in [("train.tsv", Split::Train), ("valid.tsv", Split::Validation), ("test.tsv", Split::Test)] {
        let list = beside(name);
        for (index, line) in folder.text(&list)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let pair =
                line.split_once('\t').and_then(|(clip, path)| Some((clip.trim().parse::<usize>().ok()?, path.trim())));
            let Some((clip, path)) = pair.filter(|(clip, _)| clip < num_clips) else {
                let reason = format!("expected a number below {num_clips}, a tab and a path, found `{line}`");
                return Err(ImportError::Line { path: folder.absolute(&list), line: index + 1, reason });
            };
            let row = &values[clip * num_tags..(clip + 1) * num_tags];
            let label: Vec<&str> =
                tags.iter().zip(row).filter(|(_, value)| **value > 0.5).map(|(tag, _)| tag.as_str()).collect();
            gathered.candidates.push(Candidate::new(folder.find_or_missing(path), label, split));
        }
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, rows, unreadable};
    use super::*;

    /// The table of the data set: the 50 tags and another one, and these clips with their tags.
    fn annotations(clips: &[(&str, &[&str])]) -> String {
        let tags: Vec<String> = class_list("mtt").unwrap().into_iter().chain(["no piano".to_owned()]).collect();
        let quoted: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
        let mut text = format!("\"clip_id\"\t{}\t\"mp3_path\"\n", quoted.join("\t"));
        for (index, (path, of_clip)) in clips.iter().enumerate() {
            let cells: Vec<&str> =
                tags.iter().map(|tag| if of_clip.contains(&tag.as_str()) { "\"1\"" } else { "\"0\"" }).collect();
            text.push_str(&format!("\"{index}\"\t{}\t\"{path}\"\n", cells.join("\t")));
        }
        text
    }

    #[test]
    fn tags_and_splits_come_from_the_table_and_the_folders() {
        let place = Place::new();
        place.write(
            "annotations_final.csv",
            annotations(&[
                ("0/a.wav", &["guitar", "no vocals"]),
                ("b/b.wav", &["no piano"]),
                ("c/c.wav", &["rock"]),
                ("d/d.wav", &["choral", "guitar"]),
                ("f/f.wav", &["guitar"]),
                ("6/empty.mp3", &["guitar"]),
                ("e/absent.mp3", &[]),
            ]),
        );
        for name in ["0/a", "b/b", "c/c", "d/d", "f/f", "f/unused"] {
            place.wav(&format!("mp3/{name}.wav"), 0.2);
        }
        place.write("mp3/6/empty.mp3", "");
        let imported = place.import("mtt");
        assert_eq!(
            rows(&imported),
            [
                ("mp3/0/a.wav", r#"["guitar","no vocals"]"#.into(), "train"),
                ("mp3/b/b.wav", "[]".into(), "train"),
                ("mp3/c/c.wav", r#"["rock"]"#.into(), "val"),
                ("mp3/d/d.wav", r#"["guitar","choral"]"#.into(), "test"),
                ("mp3/f/f.wav", r#"["guitar"]"#.into(), "test"),
            ]
        );
        assert_eq!(imported.report.missing, ["e/absent.mp3"]);
        assert_eq!(imported.report.unused, ["mp3/f/unused.wav"]);
        assert_eq!(unreadable(&imported), ["empty.mp3"]);
    }

    #[test]
    fn a_wrong_table_is_named_with_its_line() {
        let place = Place::new();
        let error = || place.try_import("mtt", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error().contains("expected annotations_final.csv"));
        place.write("annotations_final.csv", annotations(&[("x/a.wav", &[])]));
        assert!(error().contains("line 2: expected a path that begins with 0 to f, found `x/a.wav`"), "{}", error());
        place.write(
            "annotations_final.csv",
            annotations(&[("0/a.wav", &[])]).replacen("\"0\"\t\"0\"", "\"0\"\t\"7\"", 1),
        );
        assert!(error().contains("line 2: expected 0 or 1 for `guitar`, found `7`"), "{}", error());
        place.write("annotations_final.csv", "clip_id\tguitar\tmp3_path\n");
        assert!(error().contains("expected a column `classical`"), "{}", error());
    }

    #[test]
    fn marble_v1s_arrays_are_read() {
        let place = Place::new();
        let text = |words: [&str; 2]| -> Vec<u8> {
            let pad = |word: &str| word.chars().chain(std::iter::repeat('\0')).take(6).collect::<String>();
            words
                .iter()
                .flat_map(|word| pad(word).chars().collect::<Vec<_>>())
                .flat_map(|c| u32::from(c).to_le_bytes())
                .collect()
        };
        place.write("MTT/tags.npy", npy::bytes("<U6", "2,", &text(["guitar", "rock"])));
        place.write("MTT/binary_label.npy", npy::bytes("|b1", "3, 2", &[1, 0, 0, 0, 1, 1]));
        place.write("MTT/train.tsv", "2\t0/a.wav\n");
        place.write("MTT/valid.tsv", "0\tc/c.wav\n");
        place.write("MTT/test.tsv", "1\tf/f.wav\n");
        for name in ["0/a", "c/c", "f/f"] {
            place.wav(&format!("MTT/mp3/{name}.wav"), 0.2);
        }
        let imported = place.import("mtt");
        assert_eq!(
            rows(&imported),
            [
                ("MTT/mp3/0/a.wav", r#"["guitar","rock"]"#.into(), "train"),
                ("MTT/mp3/c/c.wav", r#"["guitar"]"#.into(), "val"),
                ("MTT/mp3/f/f.wav", "[]".into(), "test"),
            ]
        );
        place.write("MTT/test.tsv", "3\tf/f.wav\n");
        let error = place.try_import("mtt", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("test.tsv, line 1: expected a number below 3, a tab and a path"), "{error}");
        place.write("MTT/binary_label.npy", npy::bytes("|b1", "2, 3", &[1, 0, 0, 0, 1, 1]));
        let error = place.try_import("mtt", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("expected 2 columns, one for each of tags.npy, found 3"), "{error}");
    }
}
