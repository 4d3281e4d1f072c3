#!/usr/bin/env python3
"""Solfa beside PyTorch: seconds and peak memory of a full-size model with random weights, in one run on one machine.

Set up once (about 4 GB):

    python3 -m venv ~/.cache/solfa-peers
    ~/.cache/solfa-peers/bin/pip install torch torchaudio "transformers==4.46.3" muq nnAudio librosa soundfile easydict einops "x_clip==0.14.4"

Then, after `cargo build --release`:

    ~/.cache/solfa-peers/bin/python tools/bench/beside_pytorch.py --model muq-large --seconds 30
    ~/.cache/solfa-peers/bin/python tools/bench/beside_pytorch.py --model mert-95m        # mert-330m, music2vec
    ~/.cache/solfa-peers/bin/python tools/bench/beside_pytorch.py --seconds 3600 --passes 1
    ~/.cache/solfa-peers/bin/python tools/bench/beside_pytorch.py --dtype bf16            # PyTorch under autocast

Or, to compare numbers instead of times, PyTorch's hidden states in float32 of the same audio into a file, and then ours
beside them:

    ~/.cache/solfa-peers/bin/python tools/bench/beside_pytorch.py --model muq-large --outputs outputs.safetensors
    cargo run --release -p solfa-learn --example compare_hidden_states -- ~/.cache/solfa-peers/muq-large \\
        ~/.cache/solfa-peers/muq-large/30s.wav outputs.safetensors

Both read the same checkpoint and the same audio, cut it into windows of 30 s, and keep all hidden states of a window
until the next. Each runs in a process of its own, one after the other; the best of the passes after one to warm up counts
(a single pass is measured without one). PyTorch runs on as many threads as there are cores, in float32
or under bfloat16 autocast.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

WINDOW_SECONDS = 30
SAMPLE_RATES = {"muq-large": 24_000, "mert-95m": 24_000, "mert-330m": 24_000, "music2vec": 16_000}


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


def build(name):
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    if name == "muq-large":
        from muq import MuQ

        return MuQ(muq_config()).eval()
    from transformers import Data2VecAudioConfig, Data2VecAudioModel, HubertConfig, HubertModel

    if name == "music2vec":
        return Data2VecAudioModel(Data2VecAudioConfig(layerdrop=0.0, num_conv_pos_embeddings=5)).eval()
    large = dict(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
        feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True,
    )
    return HubertModel(HubertConfig(layerdrop=0.0, **(large if name == "mert-330m" else {}))).eval()


def make(name, folder, seconds):
    """Writes the checkpoint once, in the published layout, and the audio of this length."""
    import numpy
    import soundfile

    sample_rate = SAMPLE_RATES[name]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model.safetensors").exists():
        from safetensors.torch import save_file

        model = build(name)
        if name == "muq-large":
            (folder / "config.json").write_text(json.dumps(muq_config(), indent=1))
        else:
            model.config.save_pretrained(folder)
            # The network alone is measured: neither program normalises the waveform.
            preprocessor = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": sample_rate,
                            "do_normalize": False}
            (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
        save_file({name: value.contiguous().clone() for name, value in model.state_dict().items()},
                  folder / "model.safetensors")
    audio = folder / f"{seconds:g}s.wav"
    if not audio.exists():
        generator = numpy.random.default_rng(0)
        samples_left = int(seconds * sample_rate)
        with soundfile.SoundFile(audio, "w", sample_rate, 1, subtype="FLOAT") as file:
            start = 0
            while samples_left:
                count = min(samples_left, 60 * sample_rate)
                time_axis = (start + numpy.arange(count)) / sample_rate
                tones = sum(numpy.sin(2 * numpy.pi * pitch * time_axis) / (index + 1)
                            for index, pitch in enumerate((110, 220, 277.2, 329.6, 440, 880)))
                beat = 1 + 0.5 * numpy.sin(2 * numpy.pi * 2 * time_axis)
                noise = generator.normal(0, 0.01, count)
                file.write((0.15 * tones * beat + noise).astype(numpy.float32))
                start += count
                samples_left -= count
    return audio


def run_torch(name, folder, audio, passes, dtype):
    """Runs in a process of its own and prints a JSON object."""
    import soundfile
    import torch
    from safetensors.torch import load_file

    model = build(name)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    samples, _ = soundfile.read(audio, dtype="float32")
    windows = torch.tensor(samples).split(WINDOW_SECONDS * SAMPLE_RATES[name])

    def one_pass():
        start = time.perf_counter()
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
            for number, window in enumerate(windows, 1):
                states = model(window[None], output_hidden_states=True).hidden_states
                assert len(states) in (13, 25)
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


def write_outputs(name, folder, audio, outputs):
    """Every hidden state of the audio in one piece, as `hidden_0`, `hidden_1` and so on."""
    import soundfile
    import torch
    from safetensors.torch import load_file, save_file

    model = build(name)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    samples, _ = soundfile.read(audio, dtype="float32")
    with torch.no_grad():
        states = model(torch.tensor(samples)[None], output_hidden_states=True).hidden_states
    save_file({f"hidden_{layer}": state.contiguous().clone() for layer, state in enumerate(states)}, outputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SAMPLE_RATES, default="muq-large", help="whose size the checkpoint has")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the audio")
    parser.add_argument("--passes", type=int, default=5, help="passes that are measured")
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32", help="type of numbers, in both programs")
    parser.add_argument("--folder", type=pathlib.Path, help="where the random checkpoint is made "
                        "[default: ~/.cache/solfa-peers/MODEL]")
    parser.add_argument("--solfa", default="target/release/solfa", help="the binary")
    parser.add_argument("--outputs", type=pathlib.Path, help="write PyTorch's hidden states to this file, and stop")
    parser.add_argument("--torch-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    name = arguments.model
    arguments.folder = arguments.folder or pathlib.Path.home() / ".cache/solfa-peers" / name
    audio = arguments.folder / f"{arguments.seconds:g}s.wav"
    if arguments.torch_only:
        return run_torch(name, arguments.folder, audio, arguments.passes, arguments.dtype)
    make(name, arguments.folder, arguments.seconds)
    if arguments.outputs:
        return write_outputs(name, arguments.folder, audio, arguments.outputs)
    torch_command = [sys.executable, __file__, "--torch-only", "--model", name, "--folder", str(arguments.folder),
                     "--seconds", str(arguments.seconds), "--passes", str(arguments.passes), "--dtype", arguments.dtype]
    solfa_command = [arguments.solfa, "bench", "--model", str(arguments.folder), str(audio), "--json",
                     "--passes", str(arguments.passes), "--dtype", arguments.dtype] + (["--no-warm-up"] if arguments.passes == 1 else [])
    results = {}
    for program, command in (("solfa", solfa_command), ("pytorch", torch_command)):
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        results[program] = json.loads(output.splitlines()[-1])
        found = results[program]
        print(f"{program:8} {name}, {arguments.seconds:g} s of audio: {found['seconds_per_pass']:.2f} s, "
              f"peak memory {found['peak_rss_bytes'] / 1e9:.2f} GB", flush=True)
    ratio = results["pytorch"]["seconds_per_pass"] / results["solfa"]["seconds_per_pass"]
    memory = results["solfa"]["peak_rss_bytes"] / results["pytorch"]["peak_rss_bytes"]
    print(f"solfa takes {1 / ratio:.2f} of PyTorch's time and {memory:.2f} of its memory, and is {ratio:.2f} times as fast "
          f"(PyTorch {results['pytorch']['version']}, {arguments.dtype})")


main()
