//! Layouts of people's own: HEAR's JSON folders, a folder for each class, a table. Their tasks say their kind.

use serde_json::{Map, Value, json};

use super::sound::{add_clicks, notes, silence, write};
use super::{Case, SET};
use crate::common::Workplace;

pub(super) const FOLDERS: Case = Case {
    task: "my-drums",
    kind: Some("class"),
    import: "folders --seed 5",
    lay_out: folders,
    rows: [16, 2, 2],
    num_missing: 0,
    num_scored: 2,
    probe: "--model mel --clip 1",
    above: 0.8,
};

pub(super) const HEAR_SCENES: Case = Case {
    task: "my-percussion",
    import: "hear --fold 1",
    lay_out: hear_scenes,
    rows: [12, 6, 6],
    num_scored: 6,
    ..FOLDERS
};

pub(super) const HEAR_NOTES: Case = Case {
    task: "my-notes",
    kind: Some("notes"),
    import: "hear",
    lay_out: hear_notes,
    rows: [6, 2, 3],
    num_scored: 3,
    probe: "--model mel",
    above: 0.5,
    ..FOLDERS
};

pub(super) const TABLE: Case = Case {
    task: "my-songs",
    kind: Some("tags"),
    import: "csv --table songs.csv --path file --label tags --label-form tags --where ok=yes --split part",
    lay_out: table,
    rows: [8, 4, 4],
    num_scored: 4,
    ..FOLDERS
};

/// A low or a high stroke.
fn stroke(place: &Workplace, name: &str, class: usize, seed: usize) {
    let mut samples = silence(0.4, seed);
    add_clicks(&mut samples, &[0.05 + 0.01 * (seed % 7) as f64], [40, 90][class], 0.2);
    write(place, &format!("{SET}/{name}"), &samples);
}

fn folders(place: &Workplace) {
    for number in 0..10 {
        for (class, folder) in ["kick", "snare"].into_iter().enumerate() {
            stroke(place, &format!("{folder}/{number}.wav"), class, 2 * number + class);
        }
    }
}

/// Four folds; the second one is the test split, the third one validation.
fn hear_scenes(place: &Workplace) {
    for fold in 0..4 {
        let mut labels = Map::new();
        for number in 0..6 {
            let (name, class) = (format!("{fold}_{number}.wav"), number % 2);
            stroke(place, &format!("tasks/mridangam/48000/fold{fold:02}/{name}"), class, 6 * fold + number);
            let label = ["Thom", "Ta"][class];
            labels.insert(name, json!([label]));
        }
        place.write(&format!("{SET}/tasks/mridangam/fold{fold:02}.json"), Value::Object(labels).to_string());
    }
    let metadata = json!({
        "task_name": "mridangam_stroke", "version": "full", "embedding_type": "scene", "prediction_type": "multiclass",
        "split_mode": "trainvaltest", "sample_duration": 0.4, "evaluation": ["top1_acc"],
    });
    place.write(&format!("{SET}/tasks/mridangam/task_metadata.json"), metadata.to_string());
}

/// Notes one after the other, with a rest between them, in milliseconds and MIDI numbers.
fn hear_notes(place: &Workplace) {
    let mut seed = 0;
    for (split, count) in [("train", 6), ("valid", 2), ("test", 3)] {
        let mut files = Map::new();
        for number in 0..count {
            let mut samples = silence(0.2, 7_000 + seed);
            let mut events = Vec::new();
            for place_of_note in 0..6 {
                seed += 1;
                let pitch = [60_u8, 64, 67][(seed * (1 + number % 2) + place_of_note / 3) % 3];
                let start = 0.2 + 0.6 * f64::from(place_of_note as u8);
                events
                    .push(json!({"label": pitch.to_string(), "start": 1000.0 * start, "end": 1000.0 * (start + 0.4)}));
                samples.extend(notes(&[pitch], 0.4, seed));
                samples.extend(silence(0.2, 9_000 + seed));
            }
            let name = format!("{split}{number}.wav");
            write(place, &format!("{SET}/48000/{split}/{name}"), &samples);
            files.insert(name, events.into());
        }
        place.write(&format!("{SET}/{split}.json"), Value::Object(files).to_string());
    }
    let metadata = json!({"task_name": "my_notes", "embedding_type": "event", "prediction_type": "multilabel"});
    place.write(&format!("{SET}/task_metadata.json"), metadata.to_string());
}

fn table(place: &Workplace) {
    let mut table = "file,tags,ok,part\n".to_owned();
    let mut add = |number: usize, ok: &str, part: &str| {
        let place_of_three = number % 3;
        let (has_low, has_high) = (place_of_three != 1, place_of_three != 0);
        let mut tags = Vec::new();
        let mut pitches = Vec::new();
        for (has, tag, pitch) in [(has_low, "bass", 40), (has_high, "bells", 90)] {
            if has {
                tags.push(tag);
                pitches.push(pitch);
            }
        }
        table += &format!("{number}.wav,{},{ok},{part}\n", tags.join(";"));
        write(place, &format!("{SET}/songs/{number}.wav"), &notes(&pitches, 0.8, number));
    };
    for number in 0..16 {
        add(number, "yes", ["train", "train", "valid", "test"][number / 4]);
    }
    place.write(&format!("{SET}/songs.csv"), table + "absent.wav,bass,no,train\n");
}
