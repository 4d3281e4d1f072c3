//! Data sets of tags: MagnaTagATune, MTG-Jamendo's four, and lists such as MSD-100's.

use solfa_eval::tag::LabelSet;

use super::sound::{notes, write};
use super::{Case, SET};
use crate::common::{Workplace, fixture};

/// Tags of recordings of each split: the first, the second, both, or neither. In validation and test each is there, and is
/// not.
const SPLITS: [&[[bool; 2]]; 3] = [&[A, B, AB, A, B, AB, A, B], &[A, B, AB], &[A, B, AB, A]];
const A: [bool; 2] = [true, false];
const B: [bool; 2] = [false, true];
const AB: [bool; 2] = [true, true];

/// What a tag sounds like.
const PITCHES: [u8; 2] = [45, 93];

pub(super) const MTT: Case = Case {
    task: "mtt",
    kind: None,
    import: "mtt",
    lay_out: magnatagatune,
    rows: [9, 3, 4],
    num_missing: 0,
    num_scored: 4,
    probe: "--model mel",
    above: 0.8,
};

pub(super) const JAMENDO_TOP50: Case =
    Case { task: "jamendo-top50", import: "jamendo-top50", lay_out: jamendo_top50, ..JAMENDO };
pub(super) const JAMENDO_GENRE: Case =
    Case { task: "jamendo-genre", import: "jamendo-genre", lay_out: jamendo_genre, ..JAMENDO };
pub(super) const JAMENDO_INSTRUMENT: Case =
    Case { task: "jamendo-instrument", import: "jamendo-instrument", lay_out: jamendo_instrument, ..JAMENDO };
pub(super) const JAMENDO_MOOD_THEME: Case =
    Case { task: "jamendo-mood-theme", import: "jamendo-mood-theme", lay_out: jamendo_mood_theme, ..JAMENDO };

pub(super) const MSD100: Case = Case { task: "msd100", import: "tags", lay_out: msd100, ..JAMENDO };

const JAMENDO: Case = Case {
    task: "",
    kind: None,
    import: "",
    lay_out: jamendo_genre,
    rows: [8, 3, 4],
    num_missing: 0,
    num_scored: 4,
    probe: "--model mel",
    above: 0.8,
};

/// The recordings: split, number, and which of the two tags each has.
fn recordings() -> impl Iterator<Item = (usize, usize, [bool; 2])> {
    let of_split = |split: usize| SPLITS[split].iter().map(move |tags| (split, *tags));
    (0..3).flat_map(of_split).enumerate().map(|(number, (split, tags))| (split, number, tags))
}

/// Those of two that a recording has.
fn chosen<T: Copy>(of: [T; 2], tags: [bool; 2]) -> Vec<T> {
    of.into_iter().zip(tags).filter(|(_, has)| *has).map(|(item, _)| item).collect()
}

fn recording(place: &Workplace, name: &str, number: usize, tags: [bool; 2]) {
    write(place, &format!("{SET}/{name}"), &notes(&chosen(PITCHES, tags), 1.0, number));
}

/// The table in its own quoting, and folders 0 to f.
fn magnatagatune(place: &Workplace) {
    let builtin = LabelSet::builtin("mtt").unwrap();
    let mut names: Vec<&str> = builtin.labels().iter().map(|label| label.name()).collect();
    // The table has 188 tags, of which 50 count.
    names.extend(["no piano", "bongos"]);
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let mut table = format!("\"clip_id\"\t{}\t\"mp3_path\"\n", quoted.join("\t"));
    let mut add = |number: usize, of_clip: &[&str], path: &str| {
        let cell = |name: &&str| if of_clip.contains(name) { "\"1\"" } else { "\"0\"" };
        let cells: Vec<&str> = names.iter().map(cell).collect();
        table += &format!("\"{number}\"\t{}\t\"{path}\"\n", cells.join("\t"));
    };
    for (split, number, tags) in recordings() {
        let folder = [["0", "b"], ["c", "c"], ["d", "f"]][split][number % 2];
        let path = format!("{folder}/artist-album-{number:02}-a_title-0-29.mp3");
        add(number, &chosen(["guitar", "flute"], tags), &path);
        recording(place, &path, number, tags);
    }
    let path = "6/us_army_strings-dances-05-hungarian_dance-0-29.mp3";
    add(99, &["strings", "bongos"], path);
    place.write(&format!("{SET}/{path}"), fs_err::read(fixture("audio/hungarian_dance.mp3")).unwrap());
    place.write(&format!("{SET}/annotations_final.csv"), table);
}

/// The lists of split 0 beside those of another kind, and songs of which some are in the smaller copy.
fn jamendo(place: &Workplace, kind: &str, tags_of_kind: [&str; 2]) {
    let header = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n";
    let mut lists = [header; 3].map(str::to_owned);
    for (split, number, tags) in recordings() {
        let id = 1_000 + number;
        let tags_of_song = chosen(tags_of_kind, tags).join("\t");
        lists[split] += &format!(
            "track_{id:07}\tartist_{number:06}\talbum_{number:06}\t{:02}/{id}.mp3\t1.0\t{tags_of_song}\n",
            id % 100
        );
        let ending = if number.is_multiple_of(2) { "mp3" } else { "low.mp3" };
        recording(place, &format!("songs/{:02}/{id}.{ending}", id % 100), number, tags);
    }
    for (split, list) in ["train", "validation", "test"].into_iter().zip(lists) {
        let folder = format!("{SET}/mtg-jamendo-dataset/data/splits");
        place.write(&format!("{folder}/split-0/autotagging_{kind}-{split}.tsv"), list);
        place.write(&format!("{folder}/split-1/autotagging_{kind}-{split}.tsv"), header);
    }
}

fn jamendo_top50(place: &Workplace) {
    jamendo(place, "top50tags", ["genre---rock", "instrument---piano"]);
}

fn jamendo_genre(place: &Workplace) {
    jamendo(place, "genre", ["genre---ambient", "genre---rock"]);
}

fn jamendo_instrument(place: &Workplace) {
    jamendo(place, "instrument", ["instrument---bass", "instrument---flute"]);
}

fn jamendo_mood_theme(place: &Workplace) {
    jamendo(place, "moodtheme", ["mood/theme---dark", "mood/theme---happy"]);
}

/// Lists of paths and tags, and the tags that count.
fn msd100(place: &Workplace) {
    let mut lists = [const { String::new() }; 3];
    for (split, number, tags) in recordings() {
        let path = format!("A/B/C/TRABC{number:02}128F424C983.mp3");
        lists[split] += &format!("{path}\t{}\n", chosen(["rock", "female vocalists"], tags).join("\t"));
        recording(place, &path, number, tags);
    }
    for (split, list) in ["train", "val", "test"].into_iter().zip(lists) {
        place.write(&format!("{SET}/{split}.tsv"), list);
    }
    place.write(&format!("{SET}/tags.txt"), "rock\nfemale vocalists\n");
}
