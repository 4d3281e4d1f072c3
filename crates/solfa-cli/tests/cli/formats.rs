//! What is written.

use serde_json::Value;
use solfa_kernels::InstructionSet;

use crate::common::{Stored, Workplace, floats, json_lines, tiny_muq};

/// A workplace with one song and all its frames of one layer in `truth.safetensors`.
fn workplace() -> (Workplace, Stored) {
    let workplace = Workplace::new();
    workplace.song("song.wav", 1.5, 1);
    workplace.embed("--pool none --output truth.safetensors song.wav");
    let truth = Stored::read(&workplace.path("truth.safetensors"));
    (workplace, truth)
}

/// The values of an npy file, and its header.
fn npy(bytes: &[u8]) -> (String, Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let header_end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    (String::from_utf8(bytes[10..header_end].to_vec()).unwrap(), floats(&bytes[header_end..]))
}

#[test]
fn safetensors_hold_one_tensor_a_layer_and_say_what_they_are() {
    let workplace = Workplace::new();
    workplace.song("song.wav", 2.0, 1);
    let embed = |arguments: &str| {
        let arguments = format!("embed song.wav --model {} {arguments}", tiny_muq());
        workplace.solfa(&arguments).assert().success();
    };
    embed("--pool none --output frames.safetensors");
    let frames = Stored::read(&workplace.path("frames.safetensors"));
    assert_eq!(frames.tensors.keys().collect::<Vec<_>>(), ["layer_0", "layer_1", "layer_2"]);
    assert!(frames.tensors.values().all(|(shape, _)| *shape == [50, 32]));
    for (key, expected) in [
        ("model", "muq-25hz"),
        ("path", "song.wav"),
        ("layers", "[0,1,2]"),
        ("pooling", "none"),
        ("window_seconds", "30.0"),
        ("tail", "overlap"),
        ("resampler", "sinc-hann"),
        ("dtype", "f32"),
        ("frames_per_second", "[25.0,25.0,25.0]"),
        ("program_version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(frames.metadata.get(key).map(String::as_str), Some(expected), "{key}");
    }
    for (key, digits) in [("weights_sha256", 64), ("space_id", 32)] {
        assert_eq!(frames.metadata[key].len(), digits, "{key}");
    }

    // Chosen layers are the same as among all.
    embed("--pool none --layers 2,0 --output some.safetensors");
    let some = Stored::read(&workplace.path("some.safetensors"));
    assert_eq!(some.tensors.keys().collect::<Vec<_>>(), ["layer_0", "layer_2"]);
    assert!(some.tensors.iter().all(|(name, tensor)| *tensor == frames.tensors[name]));
    assert_ne!(some.metadata["space_id"], frames.metadata["space_id"]);
    embed("--pool none --layers last --output last.safetensors");
    assert_eq!(Stored::read(&workplace.path("last.safetensors")).tensors["layer_2"], frames.tensors["layer_2"]);
}

#[test]
fn pooled_vectors_are_the_statistics_of_the_frames() {
    let (workplace, truth) = workplace();
    let columns: Vec<Vec<f64>> = (0..128)
        .map(|dim| truth.values("layer_0").iter().skip(dim).step_by(128).map(|&value| f64::from(value)).collect())
        .collect();
    let mean = |column: &Vec<f64>| column.iter().sum::<f64>() / column.len() as f64;
    let deviation = |column: &Vec<f64>| {
        let mean = mean(column);
        (column.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / column.len() as f64).sqrt()
    };
    let means: Vec<f64> = columns.iter().map(mean).collect();
    let maxima: Vec<f64> = columns.iter().map(|column| column.iter().copied().fold(f64::MIN, f64::max)).collect();
    let both: Vec<f64> = means.iter().copied().chain(columns.iter().map(deviation)).collect();
    for (pooling, expected) in [("mean", means), ("max", maxima), ("mean+std", both)] {
        workplace.embed(&format!("--pool {pooling} --output {pooling}.safetensors song.wav"));
        let found = Stored::read(&workplace.path(&format!("{pooling}.safetensors")));
        assert_eq!(found.shape("layer_0"), [expected.len()], "{pooling}");
        for (found, expected) in found.values("layer_0").iter().zip(&expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-4 * expected.abs().max(1.0),
                "{pooling}: {found} {expected}"
            );
        }
    }
}

#[test]
fn every_format_holds_the_same_values() {
    let (workplace, truth) = workplace();
    let values = truth.values("layer_0");

    workplace.embed("--pool none --output song.npy song.wav");
    let (header, found) = npy(&workplace.read("song.npy"));
    assert!(header.contains("'shape': (151, 128)") && header.contains("'<f4'"), "{header}");
    assert!(found == values);
    let sidecar: Value = serde_json::from_slice(&workplace.read("song.npy.json")).unwrap();
    assert_eq!(sidecar["space_id"], truth.metadata["space_id"]);

    // Arrays stand uncompressed in the archive.
    workplace.embed("--pool none --output song.npz song.wav");
    let archive = workplace.read("song.npz");
    assert!(archive.starts_with(b"PK"));
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert!(archive.windows(bytes.len()).any(|window| window == bytes));

    workplace.embed("--pool none --output song.parquet song.wav");
    let table = workplace.read("song.parquet");
    assert!(table.starts_with(b"PAR1") && table.ends_with(b"PAR1"));

    workplace.embed("--pool none --output song.jsonl song.wav");
    let row = &json_lines(&workplace.read("song.jsonl"))[0];
    let frames = row["layers"]["0"].as_array().unwrap();
    let found = frames.iter().flat_map(|frame| frame.as_array().unwrap()).map(|value| value.as_f64().unwrap() as f32);
    assert!(found.eq(values.iter().copied()));
    assert_eq!(row["path"], "song.wav");
    assert_eq!(row["space_id"], truth.metadata["space_id"]);
}

#[test]
fn tables_have_a_row_for_each_input() {
    let workplace = Workplace::new();
    for name in ["b", "a", "c"] {
        workplace.song(&format!("music/{name}.wav"), 0.5, 1);
    }
    workplace.embed("--output table.jsonl music");
    let rows = json_lines(&workplace.read("table.jsonl"));
    let paths: Vec<&str> = rows.iter().map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["music/a.wav", "music/b.wav", "music/c.wav"]);
    // One layer: its vector has a name of its own.
    assert!(
        rows.iter().all(|row| row["vector"] == row["layers"]["0"] && row["vector"].as_array().unwrap().len() == 128)
    );
    workplace.embed("--output table.parquet music");
    assert!(workplace.read("table.parquet").ends_with(b"PAR1"));

    let arguments = format!("embed music --model {} --output layers.jsonl", tiny_muq());
    workplace.solfa(&arguments).assert().success();
    let row = &json_lines(&workplace.read("layers.jsonl"))[0];
    assert!(row.get("vector").is_none());
    assert_eq!(row["layers"].as_object().unwrap().keys().collect::<Vec<_>>(), ["0", "1", "2"]);
}

#[test]
fn folders_are_mirrored_in_every_format() {
    let workplace = Workplace::new();
    workplace.song("music/a.wav", 0.5, 1);
    workplace.song("music/deep/er/b.wav", 0.5, 2);
    for (format, sidecars) in
        [("safetensors", false), ("npz", false), ("parquet", false), ("npy", true), ("jsonl", true)]
    {
        workplace.embed(&format!("--format {format} --output {format} music"));
        let outputs = [format!("a.{format}"), format!("deep/er/b.{format}")];
        let mut expected = Vec::new();
        for output in outputs {
            let sidecar = sidecars.then(|| format!("{output}.json"));
            expected.extend(std::iter::once(output).chain(sidecar));
        }
        assert_eq!(workplace.files(format), expected);
    }
    // Two recordings that differ in their extension only.
    fs_err::copy(workplace.path("music/a.wav"), workplace.path("music/a.aiff")).unwrap();
    workplace.embed("--output both music/a.wav music/a.aiff");
    assert_eq!(workplace.files("both"), ["a.aiff.safetensors", "a.wav.safetensors"]);
}

#[test]
fn tokens_are_printed_and_written() {
    let workplace = Workplace::new();
    workplace.song("song.wav", 2.0, 1);
    let tokens = |arguments: &str| {
        let arguments = format!("tokens song.wav --model {} {arguments}", tiny_muq());
        workplace.solfa(&arguments).assert().success().get_output().stdout.clone()
    };
    let printed: Vec<Vec<i64>> = String::from_utf8(tokens(""))
        .unwrap()
        .lines()
        .map(|line| line.split(' ').map(|code| code.parse().unwrap()).collect())
        .collect();
    assert_eq!(printed.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50]);
    tokens("--output codes.safetensors");
    let bytes = workplace.read("codes.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let codes = file.tensor("codes").unwrap();
    assert_eq!((codes.dtype(), codes.shape()), (safetensors::Dtype::I64, &[2, 50][..]));
    let written: Vec<i64> = codes.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
    assert_eq!(written, printed.concat());
    let json = &json_lines(&tokens("--json"))[0];
    assert_eq!(json["codes"], serde_json::json!(printed));
    assert_eq!((&json["shape"], &json["frames_per_second"]), (&serde_json::json!([2, 50]), &serde_json::json!(25.0)));
}

#[test]
fn a_benchmark_measures() {
    let workplace = Workplace::new();
    workplace.song("song.wav", 1.0, 1);
    let output = workplace.solfa("bench song.wav --model mel --passes 2 --json").output().unwrap();
    let measured = &json_lines(&output.stdout)[0];
    let number = |field: &str| measured[field].as_f64().unwrap_or_else(|| panic!("{field} of {measured}"));
    assert!(number("seconds_per_pass") > 0.0);
    let realtime = number("audio_seconds") / number("seconds_per_pass");
    assert!((number("realtime_factor") - realtime).abs() < 1e-6 * realtime);
    if cfg!(target_os = "linux") {
        assert!(number("peak_rss_bytes") > 1e6);
    }
}

#[test]
fn a_benchmark_of_kernels_measures_each_beside_the_limit() {
    let workplace = Workplace::new();
    let kernels = |instructions: &str, arguments: &str| {
        let mut command = workplace.solfa(&format!("bench --kernels {arguments}"));
        command.env("SOLFA_INSTRUCTIONS", instructions).assert().success().get_output().stdout.clone()
    };
    let best = InstructionSet::best().name();
    let lines = json_lines(&kernels(best, "--json --dtype bf16 --threads 2"));
    for line in &lines {
        let number = |field: &str| line[field].as_f64().unwrap_or_else(|| panic!("{field} of {line}"));
        for field in ["seconds", "gflops", "limit_gflops", "share"] {
            assert!(number(field) > 0.0 && number(field).is_finite(), "{field} of {line}");
        }
        assert!((number("share") * number("limit_gflops") - number("gflops")).abs() < 1e-6 * number("gflops"));
        assert_eq!(line["threads"], 2);
    }
    let named = |name: &str| lines.iter().filter(|line| line["kernel"] == name).collect::<Vec<_>>();
    let counts = [
        ("product", 4),
        ("convolution 3x3", 3),
        ("attention", 2),
        ("depthwise", 1),
        ("layer norm", 1),
        ("channel norm", 1),
        ("gelu", 1),
        ("silu", 1),
    ];
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<usize>(), lines.len());
    for (name, count) in counts {
        assert_eq!(named(name).len(), count, "{name}");
    }
    for (field, expected) in [("shape", "750x1024x4096"), ("dtype", "bf16"), ("instructions", best)] {
        assert_eq!(named("product")[0][field], expected);
    }
    // What multiplies no matrices has vectors of single precision.
    assert_eq!(named("layer norm")[0]["dtype"], "f32");
    if InstructionSet::Avx2.is_available() {
        let table = String::from_utf8(kernels("avx2", "")).unwrap();
        let rows = table.lines().filter(|line| line.contains(" avx2 ") && line.contains(" f32 "));
        assert_eq!(rows.count(), lines.len(), "{table}");
        assert!(table.contains("GFLOP/s") && table.contains("256x128, 1 to 512, stride 2"), "{table}");
    }
}
