//! What can be given as an input.

use serde_json::Value;

use crate::common::{Workplace, json_lines, with_status};

fn music() -> Workplace {
    let workplace = Workplace::new();
    for (seed, name) in ["music/a.wav", "music/disc/b.wav", "other/c.wav"].into_iter().enumerate() {
        workplace.song(name, 0.3, seed as u64);
    }
    workplace.write("music/cover.jpg", "no sound");
    workplace
}

#[test]
fn files_folders_and_patterns() {
    let workplace = music();
    let done = |inputs: &str| -> Vec<String> {
        let rows = workplace.embed(&format!("--output out {inputs}"));
        with_status(&rows, "done").into_iter().map(str::to_owned).collect()
    };
    assert_eq!(done("other/c.wav music"), ["other/c.wav", "music/a.wav", "music/disc/b.wav"]);
    assert_eq!(done("music/*.wav"), ["music/a.wav"]);
    assert_eq!(done("**/*.wav"), ["music/a.wav", "music/disc/b.wav", "other/c.wav"]);
    assert_eq!(done("{music,other}/?.wav"), ["music/a.wav", "other/c.wav"]);
    assert_eq!(done("music music/a.wav"), ["music/a.wav", "music/disc/b.wav"]);
    // A file that has the name of a pattern is that file.
    workplace.song("take [1].wav", 0.3, 9);
    let rows = json_lines(&workplace.solfa("embed --json --model mel").arg("take [1].wav").output().unwrap().stdout);
    assert_eq!(with_status(&rows, "done"), ["take [1].wav"]);
    assert_eq!(workplace.files("embeddings"), ["take [1].safetensors"]);
}

#[test]
fn manifests_and_standard_input() {
    let workplace = music();
    workplace.write("music/list.txt", "\u{feff}# comment\na.wav\r\n\ndisc/b.wav");
    workplace.write("list.csv", "\u{feff}title,audio_path\n\"x, y\",music/a.wav\nz,music/disc/b.wav\n");
    workplace.write("list.jsonl", "\u{feff}{\"path\": \"music/a.wav\"}\n\n{\"audio_path\": \"music/disc/b.wav\"}\n");
    for list in ["music/list.txt", "list.csv", "list.jsonl"] {
        let rows = workplace.embed(&format!("--output out {list}"));
        assert_eq!(with_status(&rows, "done"), ["music/a.wav", "music/disc/b.wav"], "{list}");
    }
    let mut command = workplace.solfa("embed --json --model mel --output out -");
    let output = command.write_stdin("music/a.wav\nabsent.wav\nmusic/disc/b.wav\n").output().unwrap();
    let rows = json_lines(&output.stdout);
    assert_eq!(with_status(&rows, "done"), ["music/a.wav", "music/disc/b.wav"]);
    assert_eq!(with_status(&rows, "failed"), ["absent.wav"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        workplace.files("out"),
        ["a.safetensors", "disc/b.safetensors", "music/a.safetensors", "music/disc/b.safetensors"]
    );
}

#[test]
fn lists_that_are_none_say_what_is_wrong() {
    let workplace = music();
    for (name, text, expected) in [
        ("empty.txt", "\n# nothing\n", "it lists no path"),
        ("binary.txt", "a\0b\n", "it is not a list of paths"),
        ("columns.csv", "title,file\na,b\n", "expected a column `path` or `audio_path`, found title, file"),
        ("gap.csv", "title,path\na,music/a.wav\nb,\n", "line 3 has an empty `path`"),
        ("text.jsonl", "{\"path\": \"music/a.wav\"}\nmusic/a.wav\n", "line 2 is not a JSON object"),
        ("field.jsonl", "{\"path\": 5}\n", "line 1 has no text field `path` or `audio_path`"),
    ] {
        workplace.write(name, text);
        let rows = workplace.embed(&format!("--output out {name} music"));
        let error = rows.iter().find(|row| row["status"] == "failed").unwrap()["error"].as_str().unwrap();
        assert!(error.starts_with(&format!("{name}: {expected}")), "{error}");
        assert_eq!(with_status(&rows, "done"), ["music/a.wav", "music/disc/b.wav"], "{name}");
    }
}

#[test]
fn strange_names() {
    let workplace = Workplace::new();
    let names = ["two  spaces.wav", "ünïcödé 音楽 🎵.wav", "-dash.wav", "quote'\"$HOME.wav"];
    for name in names {
        workplace.song(&format!("in/{name}"), 0.3, 1);
    }
    let rows = workplace.embed("--output out in");
    assert_eq!(with_status(&rows, "done").len(), names.len(), "{rows:?}");
    for name in names {
        assert!(workplace.path("out").join(name).with_extension("safetensors").exists(), "{name}");
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_that_are_no_text_or_would_command_the_terminal() {
        let workplace = Workplace::new();
        let bytes = OsStr::from_bytes(b"bad\xff.wav");
        let song = workplace.song("song.wav", 0.3, 1);
        fs_err::copy(&song, workplace.path("").join(bytes)).unwrap();
        workplace.write("red\x1b[31m\n.wav", "text");

        workplace.solfa("embed --model mel --output out").arg(bytes).assert().success();
        assert!(workplace.path("out").join(OsStr::from_bytes(b"bad\xff.safetensors")).exists());
        let mut listed = workplace.solfa("embed --model mel --output out -");
        listed.write_stdin(b"bad\xff.wav\n".to_vec()).assert().success();

        let output = workplace.solfa("embed --model mel --output out").arg("red\x1b[31m\n.wav").output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with("solfa: red\\u{1b}[31m\\n.wav: not recognised"), "{message}");
    }

    #[test]
    fn a_broken_link_does_not_hide_the_rest_of_its_folder() {
        let workplace = Workplace::new();
        workplace.song("in/a.wav", 0.3, 1);
        workplace.song("in/z.wav", 0.3, 2);
        symlink("nowhere", workplace.path("in/broken.wav")).unwrap();
        symlink("nowhere", workplace.path("in/broken.txt")).unwrap();
        symlink(".", workplace.path("in/loop")).unwrap();
        symlink("z.wav", workplace.path("in/link.wav")).unwrap();
        for inputs in ["in", "in/*"] {
            let rows: Vec<Value> = workplace.embed(&format!("--output out {inputs}"));
            assert_eq!(with_status(&rows, "done"), ["in/a.wav", "in/link.wav", "in/z.wav"], "{inputs}");
            assert_eq!(with_status(&rows, "failed"), ["in/broken.wav"], "{inputs}");
        }
    }
}
