//! VocalSet: who sings, and how.
//!
//! Wilkins et al., "VocalSet: A singing voice dataset", ISMIR 2018: 10.1 hours of 20 singers and 17 techniques.
//!
//! Layout: `FULL/female1/arpeggios/belt/f1_arpeggios_belt_c_a.wav`: the technique is the folder, the singer is the folder
//! `female1` or `male11`. Only what is below `FULL` counts where there is one; the other folders of the archive hold the same
//! recordings in another order.
//!
//! Splits: for techniques, the paper's singers f2, f8, m3, m5 and m10 are the test split and the recordings of the others are
//! shared 60:40 between training and validation. For singers, recordings are shared 48:32:20. Both shares are MARBLE's.
//! MARBLE draws them with scikit-learn's GroupShuffleSplit from numpy's global generator, over chunks of 3 s that are left
//! after voice activity detection, and its groups are places in a folder's listing. That cannot be reproduced from the
//! recordings alone, so we draw our own, by recording, with a stated seed. Whoever has MARBLE v1's folder has its lists:
//! `train_s.txt`, `valid_s.txt`, `test_s.txt` (singers) and `train_t.txt`, .. (techniques), one `belt/f1_.._00.wav` a line.
//! They are read where they are.

use std::path::Path;

use super::folder::{Folder, folders_of, stem};
use super::gather::{Candidate, Gathered};
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::dataset::classes::{VOCALSET_ALL_TECHNIQUES, VOCALSET_SINGERS, VOCALSET_TECHNIQUES};
use crate::dataset::{Split, SplitItem, SplitShares};

const LICENCE: &str = "CC BY 4.0";
const ORIGIN: &str = "zenodo.org/records/1193957";
const LAYOUT: &str = "FULL/female1/EXERCISE/TECHNIQUE/NAME.wav; or MARBLE v1's lists {train,valid,test}_{s,t}.txt with \
                      TECHNIQUE/NAME.wav";

pub(super) const SETS: &[KnownDataSet] = &[
    KnownDataSet {
        name: "vocalset-singer",
        title: "VocalSet, singers",
        task: "one of 20 singers",
        paper: "Wilkins et al. 2018",
        layout: LAYOUT,
        split_rule: "48:32:20 by recording, by chance (MARBLE's shares, not its draw, unless its lists are there)",
        licence: LICENCE,
        origin: ORIGIN,
        expected: ExpectedRows::UNKNOWN,
        gather: |folder, options| gather(folder, options, Task::Singer),
    },
    KnownDataSet {
        name: "vocalset-technique",
        title: "VocalSet, techniques",
        task: "one of 10 techniques",
        paper: "Wilkins et al. 2018",
        layout: LAYOUT,
        split_rule: "test singers f2 f8 m3 m5 m10; the others 60:40 by recording, by chance (MARBLE's shares, not its draw, \
                     unless its lists are there)",
        licence: LICENCE,
        origin: ORIGIN,
        expected: ExpectedRows::UNKNOWN,
        gather: |folder, options| gather(folder, options, Task::Technique),
    },
];

#[derive(Clone, Copy, PartialEq)]
enum Task {
    Singer,
    Technique,
}

/// The singers that techniques are tested on.
const TEST_SINGERS: [&str; 5] = ["f2", "f8", "m3", "m5", "m10"];

/// Recordings of the archive that the paper's table does not have, which MARBLE leaves out as well.
const NOT_IN_THE_PAPER: [&str; 5] =
    ["f2_scales_vibrato_a(1).wav", "caro_vibrato.wav", "dona_vibrato.wav", "row_vibrato.wav", "slow_vibrato_arps.wav"];

/// Training and validation of techniques.
const TECHNIQUE_SHARES: SplitShares = SplitShares { train: 0.6, validation: 0.4, test: 0.0 };

const SINGER_SHARES: SplitShares = SplitShares { train: 0.48, validation: 0.32, test: 0.20 };

/// A singer by the name of a folder, `female1`, or by what a recording's name begins with, `f1`.
fn singer(name: &str) -> Option<&'static str> {
    let number = |rest: Option<&str>| rest.filter(|rest| rest.parse::<u32>().is_ok()).map(str::to_owned);
    let short = match (number(name.strip_prefix("female")), number(name.strip_prefix("male"))) {
        (Some(number), _) => format!("f{number}"),
        (None, Some(number)) => format!("m{number}"),
        (None, None) => name.split('_').next().unwrap_or_default().to_owned(),
    };
    VOCALSET_SINGERS.into_iter().find(|known| *known == short)
}

fn gather(folder: &Folder, options: &ImportOptions, task: Task) -> Result<Gathered, ImportError> {
    let letter = if task == Task::Singer { 's' } else { 't' };
    let lists = [("train", Split::Train), ("valid", Split::Validation), ("test", Split::Test)]
        .map(|(name, split)| (folder.find(&format!("{name}_{letter}.txt")), split));
    if let [(Some(train), _), (Some(validation), _), (Some(test), _)] = lists {
        let lists = [(train, Split::Train), (validation, Split::Validation), (test, Split::Test)];
        return gather_lists(folder, lists, task);
    }
    let rule = match task {
        Task::Singer => format!("{SINGER_SHARES} by recording, by chance"),
        Task::Technique => "test singers f2 f8 m3 m5 m10; the others 60:40 by recording, by chance".to_owned(),
    };
    let mut gathered = Gathered::new(rule);
    let has_full = folder.audio().any(|path| folders_of(path).iter().any(|name| name == "FULL"));
    for path in folder.audio() {
        let folders = folders_of(path);
        if has_full && !folders.iter().any(|name| name == "FULL") {
            continue;
        }
        let technique = folders.last().map(String::as_str).unwrap_or_default();
        if !VOCALSET_ALL_TECHNIQUES.contains(&technique) {
            gathered.leave_out(path.display(), format!("`{technique}` is not one of the 17 techniques"));
            continue;
        }
        if path.file_name().is_some_and(|name| NOT_IN_THE_PAPER.iter().any(|known| name == *known)) {
            gathered.leave_out(path.display(), "the paper's table does not have it");
            continue;
        }
        let Some(singer) = folders.iter().rev().find_map(|name| singer(name)).or_else(|| singer(&stem(path))) else {
            gathered.leave_out(path.display(), "none of its folders is a singer, female1 to male11");
            continue;
        };
        add(&mut gathered, path, singer, technique, None, task);
    }
    if gathered.candidates.is_empty() {
        return Err(folder.layout_error("VocalSet", "FULL/female1/arpeggios/belt/f1_arpeggios_belt_c_a.wav and so on"));
    }
    let item = |candidate: &Candidate| SplitItem {
        group: candidate.audio.display().to_string(),
        stratum: candidate.label.as_str().unwrap_or_default().to_owned(),
    };
    let shares = if task == Task::Singer { SINGER_SHARES } else { TECHNIQUE_SHARES };
    let is_free = |candidate: &Candidate| task == Task::Singer || candidate.split != Split::Test;
    gathered.split_randomly(options, &shares, is_free, item);
    Ok(gathered)
}

/// Adds a recording, unless the task does without its technique.
fn add(gathered: &mut Gathered, path: &Path, singer: &str, technique: &str, split: Option<Split>, task: Task) {
    let label = match task {
        Task::Singer => singer,
        Task::Technique if VOCALSET_TECHNIQUES.contains(&technique) => technique,
        Task::Technique => return,
    };
    let is_test = task == Task::Technique && TEST_SINGERS.contains(&singer);
    let split = split.unwrap_or(if is_test { Split::Test } else { Split::Train });
    gathered.candidates.push(Candidate::new(path.to_owned(), label, split));
}

/// MARBLE v1's lists of chunks.
fn gather_lists(folder: &Folder, lists: [(&Path, Split); 3], task: Task) -> Result<Gathered, ImportError> {
    let mut gathered = Gathered::new("MARBLE v1's lists in the folder");
    for (list, split) in lists {
        for (index, line) in folder.text(list)?.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty())
        {
            let (technique, name) = line.rsplit_once('/').unwrap_or(("", line));
            let Some(singer) = singer(name) else {
                let reason = format!("expected TECHNIQUE/SINGER_.., found `{line}`");
                return Err(ImportError::Line { path: folder.absolute(list), line: index + 1, reason });
            };
            add(&mut gathered, &folder.find_or_missing(line), singer, technique, Some(split), task);
        }
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, counts, left_out, rows, unreadable};
    use super::*;

    fn layout() -> Place {
        let place = Place::new();
        for take in 0..10 {
            place.wav(&format!("VocalSet/FULL/female1/arpeggios/belt/f1_arpeggios_belt_{take}.wav"), 0.2);
            place.wav(&format!("VocalSet/FULL/male11/scales/vibrato/m11_scales_vibrato_{take}.wav"), 0.2);
        }
        place.wav("VocalSet/FULL/female2/scales/belt/lip_trill_arps.wav", 0.2);
        place.wav("VocalSet/FULL/male3/scales/forte/m3_scales_forte.wav", 0.2);
        place.wav("VocalSet/FULL/male3/scales/yodel/m3_scales_yodel.wav", 0.2);
        place.wav("VocalSet/FULL/male3/excerpts/vibrato/row_vibrato.wav", 0.2);
        place.write("VocalSet/FULL/male5/scales/belt/m5_scales_belt.wav", "x");
        place.copy("VocalSet/FULL/male3/scales/forte/m3_scales_forte.wav", "VocalSet/data_by_singer/male3/forte/x.wav");
        place
    }

    #[test]
    fn singers_are_split_by_recording() {
        let place = layout();
        let imported = place.import("vocalset-singer");
        let mut found = counts(&imported);
        found.sort_unstable();
        assert_eq!(found.iter().sum::<u64>(), 22);
        assert_eq!(imported.report.seed, Some(0));
        let left_out = left_out(&imported);
        assert!(left_out.contains("yodel.wav: `yodel` is not one of the 17 techniques\n"), "{left_out}");
        assert!(left_out.contains("row_vibrato.wav: the paper's table does not have it\n"), "{left_out}");
        assert_eq!(unreadable(&imported), ["m5_scales_belt.wav"]);
        for (path, label, _) in rows(&imported) {
            assert!(
                label == "f1" || label == "m11" || path.contains("female2") || path.contains("male3"),
                "{path}: {label}"
            );
        }
        let of_f1 = |split: &str| rows(&imported).iter().filter(|row| row.1 == "f1" && row.2 == split).count();
        assert_eq!([of_f1("train"), of_f1("val"), of_f1("test")], [5, 3, 2]);
        let other = place.try_import("vocalset-singer", &ImportOptions { seed: 1, ..Default::default() }).unwrap();
        assert_ne!(rows(&imported), rows(&other));
    }

    #[test]
    fn techniques_are_tested_on_the_papers_singers() {
        let place = layout();
        let imported = place.import("vocalset-technique");
        assert_eq!(counts(&imported), [12, 8, 1]);
        let last = rows(&imported).into_iter().find(|row| row.2 == "test").unwrap();
        assert_eq!(last, ("VocalSet/FULL/female2/scales/belt/lip_trill_arps.wav", "belt".into(), "test"));
        assert!(rows(&imported).iter().all(|row| row.1 != "forte"));
    }

    #[test]
    fn marble_v1s_lists_are_read() {
        let place = Place::new();
        place.write("train_t.txt", "belt/f1_a_belt_00.wav\nforte/f1_a_forte_00.wav\n");
        place.write("valid_t.txt", "belt/f3_a_belt_00.wav\n");
        place.write("test_t.txt", "belt/f2_a_belt_00.wav\n");
        for name in ["f1", "f2", "f3"] {
            place.wav(&format!("audio/belt/{name}_a_belt_00.wav"), 0.2);
        }
        let imported = place.import("vocalset-technique");
        assert_eq!(counts(&imported), [1, 1, 1]);
        assert_eq!(imported.report.seed, None);
        place.write("test_t.txt", "belt/x_a_belt_00.wav\n");
        let error = place.try_import("vocalset-technique", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("test_t.txt, line 1: expected TECHNIQUE/SINGER_.., found"), "{error}");
        let error = Place::new().try_import("vocalset-singer", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("does not look like VocalSet"), "{error}");
    }
}
