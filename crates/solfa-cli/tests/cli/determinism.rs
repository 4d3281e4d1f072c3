//! The same file gives the same bytes.

use crate::common::{Workplace, fixture, tiny_muq};

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
