#!/usr/bin/env python3
"""What `solfa export` writes, loaded by the programs of the models' authors, beside what `solfa embed` makes of the model.

    cargo build --release -p solfa-cli
    ~/.cache/solfa-peers/bin/python tools/reference/exports_beside_authors.py [--solfa target/release/solfa]

Every tiny checkpoint is exported, the export is loaded by transformers 4.46.3 or by the package muq 0.1.0, and hidden
states of two seconds of sound are compared: the largest difference as a share of the layer's root mean square. Loading must
leave no tensor missing and find none unexpected, but for those of MuQ that its forward pass never reads.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import wave

import numpy
import torch
from safetensors.numpy import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "fixtures" / "golden"
# A checkpoint, the layout, and the sample rate.
CASES = [
    ("muq-25hz", "muq-hf", 24000),
    ("muq-50hz", "muq-hf", 24000),
    ("mert-95m-tiny", "hubert-hf", 24000),
    ("mert-330m-tiny", "hubert-hf", 24000),
    ("music2vec-tiny", "data2vec-hf", 16000),
    ("mulan-tiny", "mulan-hf", 24000),
]
# Declared by MuQ's package and not read in a forward pass.
UNREAD = ("cls_token", "pos_conv_embed", "num_batches_tracked", "stale_counter")


def clip(rate):
    """Two seconds of three partials and noise, in 16 bits."""
    time = numpy.arange(2 * rate) / rate
    noise = numpy.random.default_rng(0).standard_normal(time.size) * 0.02
    sound = sum(0.2 / k * numpy.sin(2 * numpy.pi * 220 * k * time) for k in (1, 2, 3)) + noise
    return numpy.round(sound * 32767).astype("<i2")


def write_wav(path, rate, samples):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def of_library(kind, folder, samples, rate):
    from transformers import Data2VecAudioModel, HubertModel, Wav2Vec2FeatureExtractor

    library = HubertModel if kind == "hubert-hf" else Data2VecAudioModel
    model, news = library.from_pretrained(folder, output_loading_info=True)
    wrong = {name: news[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys") if news[name]}
    assert not wrong, wrong
    preprocessor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    values = preprocessor(samples, sampling_rate=rate, return_tensors="pt").input_values
    return model.eval()(values, output_hidden_states=True).hidden_states


def of_muq(folder, samples):
    import json

    from muq import MuQ
    from safetensors.torch import load_file as load_tensors

    model = MuQ(json.loads((folder / "config.json").read_text()))
    found = model.load_state_dict(load_tensors(folder / "model.safetensors"), strict=False)
    missing = [name for name in found.missing_keys if not any(part in name for part in UNREAD)]
    assert not missing and not found.unexpected_keys, (missing, found.unexpected_keys)
    loaded = MuQ.from_pretrained(str(folder)).eval()
    return loaded(torch.from_numpy(samples)[None], output_hidden_states=True).hidden_states


def of_mulan(case, folder, samples):
    from muq import MuQMuLan

    # The package loads the two named models first, by paths below the folder that it runs in.
    os.chdir(GOLDEN / case)
    model = MuQMuLan.from_pretrained(str(folder)).eval()
    return [model(wavs=torch.from_numpy(samples)[None])[None]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--solfa", type=pathlib.Path, default=ROOT / "target/release/solfa")
    solfa = parser.parse_args().solfa.resolve()
    torch.set_grad_enabled(False)
    os.environ["HF_HUB_OFFLINE"] = "1"
    worst = 0.0
    for case, kind, rate in CASES:
        with tempfile.TemporaryDirectory() as place:
            place = pathlib.Path(place)
            integers = clip(rate)
            write_wav(place / "clip.wav", rate, integers)
            samples = (integers / 32768).astype(numpy.float32)
            run = lambda *arguments: subprocess.run([solfa, *arguments], check=True, cwd=place, capture_output=True)
            run("export", "--model", GOLDEN / case, "--format", kind, "--output", "export")
            run("embed", "--model", GOLDEN / case, "--pool", "none", "--window", "whole" if kind != "mulan-hf" else "2",
                "-o", "ours.safetensors", "clip.wav")
            ours = load_file(place / "ours.safetensors")
            folder = place / "export"
            if kind == "muq-hf":
                theirs = of_muq(folder, samples)
            elif kind == "mulan-hf":
                theirs = of_mulan(case, folder, samples)
            else:
                theirs = of_library(kind, folder, samples, rate)
            differences = []
            for (name, found), expected in zip(sorted(ours.items()), theirs, strict=True):
                expected = expected[0].numpy()
                assert found.shape == expected.shape, (case, name, found.shape, expected.shape)
                scale = numpy.sqrt(numpy.mean(expected.astype("f8") ** 2))
                differences.append(float(numpy.abs(found - expected).max() / scale))
            worst = max(worst, *differences)
            print(f"{case} as {kind}: " + ", ".join(f"{difference:.1e}" for difference in differences), flush=True)
    print(f"largest: {worst:.1e} of the root mean square")
    return 0 if worst < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
