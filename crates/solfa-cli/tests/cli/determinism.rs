//! The same file gives the same bytes.

use std::path::Path;

use solfa_signal::testing::cosine;

use crate::common::{Workplace, fixture, float_tensors, json_lines, tiny_muq};

/// Songs of lengths that share windows and of lengths that do not.
fn music() -> Workplace {
    let workplace = Workplace::new();
    for (number, seconds) in [2.0, 0.7, 2.0, 5.3, 1.0, 2.0].into_iter().enumerate() {
        workplace.song(&format!("music/{number}.wav"), seconds, number as u64);
    }
    workplace
}

#[test]
fn alone_among_others_and_in_batches_of_any_size() {
    let workplace = music();
    let musicfm = fixture("golden/musicfm-tiny").to_str().unwrap().to_owned();
    for model in ["mel".to_owned(), "chroma".to_owned(), tiny_muq(), musicfm] {
        let embed = |arguments: &str| {
            workplace.solfa(&format!("embed --model {model} --window 1 --pool none {arguments}")).assert().success();
        };
        embed("music --output first");
        embed("music --output again");
        embed("music --output one --batch 1");
        embed("music --output many --batch 16");
        embed("music/3.wav --output alone --batch 3");
        for name in workplace.files("first") {
            let first = workplace.read(&format!("first/{name}"));
            for other in ["again", "one", "many"] {
                assert!(workplace.read(&format!("{other}/{name}")) == first, "{model}: {other}/{name}");
            }
        }
        assert!(workplace.read("alone/3.safetensors") == workplace.read("first/3.safetensors"), "{model}");
        for folder in ["first", "again", "one", "many", "alone"] {
            fs_err::remove_dir_all(workplace.path(folder)).unwrap();
        }
    }
}

#[test]
fn tables_are_the_same_bytes() {
    let workplace = music();
    for format in ["jsonl", "parquet"] {
        workplace.embed(&format!("music --output first.{format} --batch 1"));
        workplace.embed(&format!("music --output again.{format} --batch 16"));
        assert!(workplace.read(&format!("first.{format}")) == workplace.read(&format!("again.{format}")), "{format}");
    }
}

#[test]
fn threads_do_not_matter() {
    let workplace = music();
    for threads in ["1", "4"] {
        let arguments =
            format!("embed music --pool none --threads {threads} --output {threads} --model {}", tiny_muq());
        workplace.solfa(&arguments).assert().success();
    }
    for name in workplace.files("1") {
        assert!(workplace.read(&format!("1/{name}")) == workplace.read(&format!("4/{name}")), "{name}");
    }
}

/// All layers of a file, laid end to end.
fn layers(path: &Path) -> Vec<f32> {
    let tensors = float_tensors(path);
    assert!(!tensors.is_empty(), "{}: no layers", path.display());
    tensors.into_values().flat_map(|(_, values)| values).collect()
}

#[test]
fn other_instructions_and_precisions_give_nearly_the_same() {
    let workplace = Workplace::new();
    workplace.song("song.wav", 2.0, 1);
    let mert = fixture("golden/mert-95m-tiny").to_str().unwrap().to_owned();
    for model in [tiny_muq(), mert] {
        let embed = |name: &str, arguments: &str, instructions: Option<&str>| {
            let arguments = format!("embed song.wav --pool none --model {model} --output {name} {arguments}");
            let mut command = workplace.solfa(&arguments);
            if let Some(instructions) = instructions {
                command.env("SOLFA_INSTRUCTIONS", instructions);
            }
            command.assert().success();
            workplace.path(&format!("{name}/song.safetensors"))
        };
        let usual = embed("usual", "", None);
        for (name, arguments, instructions, least) in [
            ("plain", "", Some("plain"), 0.999_999),
            ("half", "--dtype bf16", None, 0.999),
            ("plain-half", "--dtype bf16", Some("plain"), 0.999),
        ] {
            let found = cosine(&layers(&usual), &layers(&embed(name, arguments, instructions)));
            assert!((least..1.000_001).contains(&found), "{model}, {name}: {found}");
            // Another type of numbers is another space: nothing is taken for done.
            let is_half = arguments.contains("bf16");
            let resume = format!("embed song.wav --pool none --model {model} --output {name} --resume --json");
            let resumed = json_lines(&workplace.solfa(&resume).assert().success().get_output().stdout);
            assert_eq!(resumed[0]["status"] == "skipped", !is_half, "{model}, {name}: {}", resumed[0]);
            fs_err::remove_dir_all(workplace.path(name)).unwrap();
        }
        fs_err::remove_dir_all(workplace.path("usual")).unwrap();
    }
}
