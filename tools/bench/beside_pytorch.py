#!/usr/bin/env python3
"""Solfa beside PyTorch: seconds and peak memory of a full-size MuQ with random weights, in one run on one machine.

Set up once (about 4 GB):

    python3 -m venv ~/.cache/solfa-peers
    ~/.cache/solfa-peers/bin/pip install torch torchaudio "transformers==4.46.3" muq nnAudio librosa soundfile easydict einops "x_clip==0.14.4"

Then, after `cargo build --release`:

    ~/.cache/solfa-peers/bin/python tools/bench/beside_pytorch.py --seconds 30
    ~/.cache/solfa-peers/bin/python tools/bench/beside_pytorch.py --seconds 3600 --passes 1

Both read the same checkpoint and the same audio, cut it into windows of 30 s, and keep all 13 hidden states of a window
until the next. Each runs in a process of its own, one after the other; the best of the passes after one to warm up counts
(a single pass is measured without one). PyTorch runs in float32 on as many threads as there are cores.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

SAMPLE_RATE = 24_000
WINDOW_SECONDS = 30


def conformer_config():
    from transformers import Wav2Vec2ConformerConfig

    config = Wav2Vec2ConformerConfig(
        hidden_size=1024, num_hidden_layers=12, num_attention_heads=16, intermediate_size=4096, hidden_act="swish",
        conv_depthwise_kernel_size=31, position_embeddings_type="rotary", rotary_embedding_base=10000, layerdrop=0.0,
        hidden_dropout=0.1, attention_dropout=0.1, activation_dropout=0.1, conformer_conv_dropout=0.1,
    ).to_dict()
    return {name: value for name, value in config.items() if name not in ("id2label", "label2id")}


def muq_config():
    return dict(
        label_rate=25, num_codebooks=1, codebook_dim=16, codebook_size=8192, features=["melspec_2048"], hop_length=240,
        n_mels=128, conv_dim=512, encoder_dim=1024, encoder_depth=12, mask_hop=0.4, mask_prob=0.6, is_flash=False,
        stat={"melspec_2048_mean": 6.768444971712967, "melspec_2048_std": 18.417922652295623},
        w2v2_config=conformer_config(), use_rvq_target=True, rvq_n_codebooks=8, rvq_multi_layer_num=1,
    )


def build():
    import torch
    from muq import MuQ

    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(0)
    config = muq_config()
    return MuQ(dict(config)).eval(), config


def make(folder, seconds):
    """Writes the checkpoint once, and the audio of this length."""
    import numpy
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model.safetensors").exists():
        from safetensors.torch import save_file

        model, config = build()
        (folder / "config.json").write_text(json.dumps(config, indent=1))
        save_file({name: value.contiguous().clone() for name, value in model.state_dict().items()},
                  folder / "model.safetensors")
    audio = folder / f"{seconds:g}s.wav"
    if not audio.exists():
        generator = numpy.random.default_rng(0)
        samples_left = int(seconds * SAMPLE_RATE)
        with soundfile.SoundFile(audio, "w", SAMPLE_RATE, 1, subtype="FLOAT") as file:
            start = 0
            while samples_left:
                count = min(samples_left, 60 * SAMPLE_RATE)
                time_axis = (start + numpy.arange(count)) / SAMPLE_RATE
                tones = sum(numpy.sin(2 * numpy.pi * pitch * time_axis) / (index + 1)
                            for index, pitch in enumerate((110, 220, 277.2, 329.6, 440, 880)))
                beat = 1 + 0.5 * numpy.sin(2 * numpy.pi * 2 * time_axis)
                noise = generator.normal(0, 0.01, count)
                file.write((0.15 * tones * beat + noise).astype(numpy.float32))
                start += count
                samples_left -= count
    return audio


def run_torch(folder, audio, passes):
    """Runs in a process of its own and prints a JSON object."""
    import soundfile
    import torch
    from safetensors.torch import load_file

    model, _ = build()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    samples, _ = soundfile.read(audio, dtype="float32")
    windows = torch.tensor(samples).split(WINDOW_SECONDS * SAMPLE_RATE)

    def one_pass():
        start = time.perf_counter()
        with torch.no_grad():
            for number, window in enumerate(windows, 1):
                states = model(window[None], output_hidden_states=True).hidden_states
                assert len(states) == 13
                if number % 10 == 0:
                    print(f"pytorch: {number} of {len(windows)} windows in {time.perf_counter() - start:.1f} s",
                          file=sys.stderr, flush=True)
        return time.perf_counter() - start

    times = [one_pass() for _ in range(passes + (passes > 1))]
    print(json.dumps({
        "seconds_per_pass": min(times[1:] if passes > 1 else times),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "version": torch.__version__,
    }))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the audio")
    parser.add_argument("--passes", type=int, default=5, help="passes that are measured")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path.home() / ".cache/solfa-peers/muq-large",
                        help="where the random checkpoint is made")
    parser.add_argument("--solfa", default="target/release/solfa", help="the binary")
    parser.add_argument("--torch-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    audio = arguments.folder / f"{arguments.seconds:g}s.wav"
    if arguments.torch_only:
        return run_torch(arguments.folder, audio, arguments.passes)
    make(arguments.folder, arguments.seconds)
    torch_command = [sys.executable, __file__, "--torch-only", "--folder", str(arguments.folder),
                     "--seconds", str(arguments.seconds), "--passes", str(arguments.passes)]
    solfa_command = [arguments.solfa, "bench", "--model", str(arguments.folder), str(audio), "--json",
                     "--passes", str(arguments.passes)] + (["--no-warm-up"] if arguments.passes == 1 else [])
    results = {}
    for name, command in (("solfa", solfa_command), ("pytorch", torch_command)):
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        results[name] = json.loads(output.splitlines()[-1])
        found = results[name]
        print(f"{name:8} {arguments.seconds:g} s of audio: {found['seconds_per_pass']:.2f} s, "
              f"peak memory {found['peak_rss_bytes'] / 1e9:.2f} GB", flush=True)
    ratio = results["pytorch"]["seconds_per_pass"] / results["solfa"]["seconds_per_pass"]
    print(f"solfa is {ratio:.2f} times as fast as PyTorch {results['pytorch']['version']} in float32")


main()
