#!/usr/bin/env python3
"""A training step beside PyTorch's: seconds and peak memory, in one run on one machine.

Set up once as `beside_pytorch.py` says. Then:

    cargo build --release -p solfa-learn --example training_step
    ~/.cache/solfa-peers/bin/python tools/bench/training_beside_pytorch.py

Masked prediction on MuQ's network, 256 wide and 6 layers deep with 64 channels, of 4 clips of 10 s, in float32: spectrogram,
targets, network, loss, gradients, clipping, Adam. PyTorch runs the authors' package `muq` in training mode, whose targets are
eight codebooks of Mel-RVQ; ours are 8,192 codes of one random projection. Each runs in a process of its own, one after the
other, on as many threads as there are cores; the median of the steps after the first counts.
"""
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

STEPS = 7


def pytorch():
    import torch
    from muq import MuQ
    from transformers import Wav2Vec2ConformerConfig

    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(0)
    conformer = Wav2Vec2ConformerConfig(
        hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=1024, hidden_act="swish",
        conv_depthwise_kernel_size=31, position_embeddings_type="rotary", rotary_embedding_base=10000, layerdrop=0.0,
        hidden_dropout=0.1, attention_dropout=0.1, activation_dropout=0.1, conformer_conv_dropout=0.1,
    ).to_dict()
    model = MuQ(dict(
        label_rate=25, num_codebooks=1, codebook_dim=16, codebook_size=8192, features=["melspec_2048"], hop_length=240,
        n_mels=128, conv_dim=64, encoder_dim=256, encoder_depth=6, mask_hop=0.4, mask_prob=0.6, is_flash=False,
        stat={"melspec_2048_mean": 6.768444971712967, "melspec_2048_std": 18.417922652295623},
        w2v2_config={name: value for name, value in conformer.items() if name not in ("id2label", "label2id")},
        use_rvq_target=True, rvq_n_codebooks=8, rvq_multi_layer_num=1,
    )).train()
    learned = [parameter for name, parameter in model.named_parameters() if "rvq" not in name]
    optimizer = torch.optim.Adam(learned, lr=5e-4, betas=(0.9, 0.98), eps=1e-6)
    clips = torch.randn(4, 10 * 24_000) * 0.1
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        losses = model.model(clips)[2]
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(learned, 10.0)
        optimizer.step()
        times.append(time.perf_counter() - start)
    print(f"median of {STEPS - 1}: {statistics.median(times[1:]):.3f} s")


def measure(name, command):
    """Seconds of a step, as the program says, and the peak memory of its process in GiB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    seconds = float(re.search(r"median of \d+: ([\d.]+) s", output)[1])
    # The peak of all children so far: programs run in the order of what they take.
    memory = after / 2**20 if after > before else None
    print(f"{name:46} {seconds:.3f} s a step" + (f", {memory:.2f} GiB" if memory else ""))
    return seconds


def main():
    if sys.argv[1:] == ["--pytorch"]:
        return pytorch()
    here = pathlib.Path(__file__).resolve()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", here.parents[2] / "target"))
    program = [str(target / "release/examples/training_step")]
    ours = measure("Solfa", program)
    theirs = measure("PyTorch", [sys.executable, str(here), "--pytorch"])
    print(f"ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
