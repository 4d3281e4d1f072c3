#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "torchaudio", "safetensors", "numpy"]
# ///
"""Kaldi's MFCC and its derivatives by torchaudio: fixtures/golden/kaldi-mfcc.

    python tools/reference/kaldi_mfcc.py fixtures/golden/audio-features/inputs.safetensors fixtures/golden/kaldi-mfcc

Of the first second of `wav_24000`, taken to be at 16 kHz: `torchaudio.compliance.kaldi.mfcc` with its defaults (no dither)
and `use_energy=False`, as HuBERT's first teacher has it, with 13 and with 20 coefficients; and
`torchaudio.functional.compute_deltas` once and twice.
"""
import pathlib
import sys

import torch
import torchaudio
from safetensors.torch import load_file, save_file

wave = load_file(sys.argv[1])["wav_24000"][:, :16_000]
tensors = {}
for coefficients in (13, 20):
    mfcc = torchaudio.compliance.kaldi.mfcc(
        waveform=wave, sample_frequency=16_000, use_energy=False, num_ceps=coefficients
    ).T
    delta = torchaudio.functional.compute_deltas(mfcc)
    second = torchaudio.functional.compute_deltas(delta)
    tensors[f"mfcc_{coefficients}"] = torch.cat([mfcc, delta, second]).T.contiguous()
    print(tensors[f"mfcc_{coefficients}"].shape)
folder = pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
save_file(tensors, folder / "outputs.safetensors")
