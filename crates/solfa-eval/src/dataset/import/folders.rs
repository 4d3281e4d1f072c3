//! A folder for each class.
//!
//! Layout: `CLASS/FILE`, or `SPLIT/CLASS/FILE` with splits named train, val (valid, validation, dev) and test. The class is the
//! folder that a recording is in. Without folders of splits, chance decides, class by class.

use super::folder::{Folder, folders_of};
use super::gather::{Candidate, Gathered};
use super::giantsteps::split_of;
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::dataset::{Split, SplitItem};

pub(super) const SETS: &[KnownDataSet] = &[KnownDataSet {
    name: "folders",
    title: "People's own: a folder for each class",
    task: "one class: the name of the folder",
    paper: "",
    layout: "CLASS/FILE, or {train,val,test}/CLASS/FILE",
    split_rule: "the folders of splits; without them 8:1:1 of every class, by chance",
    licence: "your own",
    origin: "your own",
    expected: ExpectedRows::UNKNOWN,
    gather,
}];

fn gather(folder: &Folder, options: &ImportOptions) -> Result<Gathered, ImportError> {
    let mut gathered = Gathered::new("the folders of splits");
    let split_of_folders =
        |folders: &[String]| folders.split_last()?.1.iter().rev().find_map(|name| split_of(&name.as_str().into()));
    let has_splits = folder.audio().any(|path| split_of_folders(&folders_of(path)).is_some());
    for path in folder.audio() {
        let folders = folders_of(path);
        let Some(class) = folders.last() else {
            gathered.leave_out(path.display(), "it is in no folder of a class");
            continue;
        };
        match split_of_folders(&folders) {
            None if has_splits => gathered.leave_out(path.display(), "it is in no folder of a split, and others are"),
            split => {
                gathered.candidates.push(Candidate::new(path.to_owned(), class.as_str(), split.unwrap_or(Split::Train)))
            }
        }
    }
    if gathered.candidates.is_empty() {
        return Err(folder.layout_error("folders of classes", "CLASS/FILE.wav"));
    }
    if !has_splits {
        let item = |candidate: &Candidate| SplitItem {
            group: candidate.audio.display().to_string(),
            stratum: candidate.label.as_str().unwrap_or_default().to_owned(),
        };
        gathered.split_rule = format!("{} of every class, by chance", options.shares);
        gathered.split_randomly(options, &options.shares, |_| true, item);
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, counts, left_out, rows, unreadable};
    use super::*;

    #[test]
    fn classes_are_split_by_chance_with_a_seed() {
        let place = Place::new();
        for number in 0..10 {
            place.wav(&format!("drums/kick/{number}.wav"), 0.2);
            place.wav(&format!("drums/snare/{number}.wav"), 0.2);
        }
        place.wav("loose.wav", 0.2);
        place.write("drums/kick/broken.wav", "x");
        let imported = place.import("folders");
        assert_eq!(rows(&imported)[0].1, "kick");
        assert_eq!(imported.records.len(), 20);
        assert_eq!((imported.report.seed, unreadable(&imported)), (Some(0), vec!["broken.wav".to_owned()]));
        assert_eq!(left_out(&imported), "loose.wav: it is in no folder of a class\n");
        assert_eq!(counts(&imported)[0] + counts(&imported)[1] + counts(&imported)[2], 20);
        assert_eq!(place.import("folders"), imported);
    }

    #[test]
    fn folders_of_splits_count() {
        let place = Place::new();
        for name in ["train/a/1", "valid/a/2", "Test/b/3", "b/4"] {
            place.wav(&format!("{name}.wav"), 0.2);
        }
        let imported = place.import("folders");
        assert_eq!(
            rows(&imported),
            [
                ("Test/b/3.wav", "b".into(), "test"),
                ("train/a/1.wav", "a".into(), "train"),
                ("valid/a/2.wav", "a".into(), "val"),
            ]
        );
        assert_eq!(imported.report.seed, None);
        assert_eq!(left_out(&imported), "b/4.wav: it is in no folder of a split, and others are\n");
        let error = Place::new().try_import("folders", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("expected CLASS/FILE.wav, found an empty folder"), "{error}");
    }
}
