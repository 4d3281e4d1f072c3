#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.*", "torchaudio", "transformers==4.46.3", "muq==0.1.0", "safetensors==0.8.*", "x_clip==0.14.4",
#     "nnAudio==0.3.4", "librosa==0.11.*", "easydict", "einops"]
# ///
"""The attention maps of a MuQ as the package `muq` and Hugging Face's conformer compute them.

    python tools/reference/muq_attention.py fixtures/golden/muq-25hz

reads the case's checkpoint and clips, and writes `attention.safetensors` beside them: `attention_0` for the first layer,
`[clips, heads, frames, frames]`. The hidden states of the same pass are compared with the case's own.
"""

import json
import pathlib
import sys

import torch
from muq import MuQ
from safetensors.torch import load_file, save_file


def main(folder):
    model = MuQ(json.loads((folder / "config.json").read_text())).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    clips = load_file(folder / "inputs.safetensors")["wav"]
    maps = []
    layers = model.model.conformer.layers
    for layer in layers:
        attention = layer.self_attn
        original = attention.forward

        def forward(*arguments, original=original, **options):
            options["output_attentions"] = True
            hidden, weights = original(*arguments, **options)
            maps.append(weights.detach())
            return hidden, weights

        attention.forward = forward
    with torch.no_grad():
        found = model(clips, output_hidden_states=True).hidden_states
    expected = load_file(folder / "outputs.safetensors")
    for number, hidden in enumerate(found):
        golden = expected[f"hidden_{number}"]
        print(f"hidden state {number}: {((hidden - golden).abs().max() / golden.square().mean().sqrt()).item():.1e} of rms")
    save_file({f"attention_{number}": weights.contiguous() for number, weights in enumerate(maps)},
              folder / "attention.safetensors")
    print(f"{len(maps)} layers of shape {tuple(maps[0].shape)}")


main(pathlib.Path(sys.argv[1]))
