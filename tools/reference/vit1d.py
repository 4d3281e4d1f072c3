#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.*", "torchaudio", "safetensors==0.8.*"]
# ///
"""The golden cases `vit1d-learned` and `vit1d-rotary`: tiny ViT-1Ds with random weights, in PyTorch.

Needs torch, torchaudio and safetensors. Run by hand, never by a test:

    python tools/reference/vit1d.py fixtures/golden

There is no released implementation to compare with (arXiv:2506.23873 has none that could be seen), so this is the
architecture written a second time, from the paper's description and with PyTorch's own modules: rotary positions are
multiplications of complex numbers here, and half-split pairs in Rust.
"""
import argparse
import json
import pathlib

import torch
import torch.nn.functional as F
import torchaudio
from safetensors.torch import save_file
from torch import nn

HIDDEN, HEADS, LAYERS, INNER = 32, 4, 3, 48
EPSILON = 1e-5
LEARNED_FRAMES = 24

# As arXiv:2404.09177 has it, and another one, so that the configuration's settings are seen to count.
MELS = {
    "vit1d-learned": {
        "stft": {"sample_rate": 16000, "fft_samples": 1024, "window_samples": 1024, "hop_samples": 512,
                 "padding": "reflect", "spectrum": "power", "unit_energy_window": True},
        "num_mels": 128, "minimum_hz": 0.0, "maximum_hz": 11025.0, "scale": "slaney", "area_normalized": False,
        "compression": {"kind": "decibels", "floor": 1e-10, "range_decibels": 100.0},
    },
    "vit1d-rotary": {
        "stft": {"sample_rate": 16000, "fft_samples": 512, "window_samples": 400, "hop_samples": 320,
                 "padding": "reflect", "spectrum": "power", "unit_energy_window": False},
        "num_mels": 40, "minimum_hz": 30.0, "maximum_hz": None, "scale": "htk", "area_normalized": False,
        "compression": {"kind": "decibels", "floor": 1e-10, "range_decibels": None},
    },
}
STATISTICS = {"vit1d-learned": (-38.5, 21.25), "vit1d-rotary": (4.75, 18.5)}


def spectrogram(case, wav):
    mel, stft = MELS[case], MELS[case]["stft"]
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate=stft["sample_rate"], n_fft=stft["fft_samples"], win_length=stft["window_samples"],
        hop_length=stft["hop_samples"], f_min=mel["minimum_hz"], f_max=mel["maximum_hz"], n_mels=mel["num_mels"],
        normalized=stft["unit_energy_window"], mel_scale=mel["scale"])
    decibels = torchaudio.transforms.AmplitudeToDB(top_db=mel["compression"]["range_decibels"])
    mean, deviation = STATISTICS[case]
    return (decibels(transform.double()(wav.unsqueeze(1))).squeeze(1).transpose(1, 2) - mean) / deviation


def norm(kind):
    return nn.LayerNorm(HIDDEN, eps=EPSILON) if kind == "layer-norm" else nn.RMSNorm(HIDDEN, eps=EPSILON)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(HIDDEN, HIDDEN) for _ in range(4))

    def forward(self, tokens, turns):
        batch, count, _ = tokens.shape

        def heads(values):
            return values.view(batch, count, HEADS, -1).transpose(1, 2)

        def turn(values):
            if turns is None:
                return values
            first, second = values.chunk(2, -1)
            turned = torch.complex(first, second) * turns
            return torch.cat([turned.real, turned.imag], -1)

        query, key, value = turn(heads(self.query(tokens))), turn(heads(self.key(tokens))), heads(self.value(tokens))
        weights = (query @ key.mT * (HIDDEN // HEADS) ** -0.5).softmax(-1)
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.output(attended.transpose(1, 2).flatten(2)), weights


class FeedForward(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.gate = nn.Linear(HIDDEN, INNER) if kind == "gated" else None
        self.expand, self.contract = nn.Linear(HIDDEN, INNER), nn.Linear(INNER, HIDDEN)

    def forward(self, tokens):
        expanded = self.expand(tokens)
        return self.contract(F.gelu(expanded) if self.gate is None else F.silu(self.gate(tokens)) * expanded)


class Block(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.attention_norm, self.attention = norm(network["norm"]), Attention()
        self.feed_forward_norm, self.feed_forward = norm(network["norm"]), FeedForward(network["feed_forward"])

    def forward(self, tokens, turns):
        attended, weights = self.attention(self.attention_norm(tokens), turns)
        tokens = tokens + attended
        return tokens + self.feed_forward(self.feed_forward_norm(tokens)), weights


class Vit1d(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.projection = nn.Linear(network["num_mels"], HIDDEN)
        self.class_token = nn.Parameter(torch.zeros(HIDDEN))
        self.is_learned = network["positions"]["kind"] == "learned"
        if self.is_learned:
            self.learned_positions = nn.Parameter(torch.zeros(1 + LEARNED_FRAMES, HIDDEN))
        else:
            half = HIDDEN // HEADS // 2
            frequencies = network["positions"]["base"] ** -(torch.arange(half) / half)
            self.rotary_positions = nn.Module()
            self.rotary_positions.register_buffer("inverse_frequencies", frequencies)
        self.blocks = nn.ModuleList(Block(network) for _ in range(LAYERS))
        self.final_norm = norm(network["norm"])

    def forward(self, mel):
        frames = self.projection(mel)
        tokens = torch.cat([(self.class_token + frames.mean(1)).unsqueeze(1), frames], 1)
        count, turns = tokens.shape[1], None
        if self.is_learned:
            tokens = tokens + self.learned_positions[:count]
        else:
            angles = torch.outer(torch.arange(count).to(mel.dtype), self.rotary_positions.inverse_frequencies)
            turns = torch.polar(torch.ones_like(angles), angles)
        hidden, maps = [tokens], []
        for block in self.blocks:
            tokens, weights = block(tokens, turns)
            hidden.append(tokens)
            maps.append(weights)
        hidden[-1] = self.final_norm(hidden[-1])
        return hidden, maps


def clips():
    """Twice 0.75 s: gliding tones and noise, loud and quiet."""
    time = torch.arange(12_000) / 16_000
    glides = [torch.sin(2 * torch.pi * (pitch * time + 300 * time ** 2)) for pitch in (220.0, 470.0)]
    return torch.stack([gain * glide + 0.02 * torch.randn_like(time) for gain, glide in zip((0.7, 0.1), glides)])


@torch.no_grad()
def write_case(folder, case, seed, network):
    torch.manual_seed(seed)
    model = Vit1d(network)
    for name, parameter in model.named_parameters():
        # No term is a no-op, and attention is far from uniform.
        if parameter.dim() == 1:
            parameter.copy_(torch.randn_like(parameter) * 0.3 + ("norm" in name and name.endswith("weight")))
        else:
            gain = 2.0 if ".query." in name or ".key." in name else 1.3
            parameter.copy_(torch.randn_like(parameter) * gain / parameter.shape[1] ** 0.5)
    for buffer in model.buffers():
        # What is stored counts, and not what follows from the base.
        buffer.mul_(1 + 0.1 * torch.rand_like(buffer))
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    wav = clips()
    # In double precision, so that what differs is the rounding of the implementation under test alone.
    model.double()
    mel = spectrogram(case, wav.double())
    hidden, maps = model(mel)
    outputs = {"mel": mel} | {f"hidden_{layer}": tokens for layer, tokens in enumerate(hidden)}
    outputs |= {f"attention_{layer}": weights for layer, weights in enumerate(maps, start=1)}
    mean, deviation = STATISTICS[case]
    config = {"model_type": "solfa-vit1d", "mel": MELS[case], "mel_mean": mean, "mel_deviation": deviation,
              "network": network}
    folder = folder / case
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(weights, folder / "model.safetensors")
    save_file({"wav": wav}, folder / "inputs.safetensors")
    save_file({name: value.float().contiguous() for name, value in outputs.items()}, folder / "outputs.safetensors")
    for name, value in outputs.items():
        print(case, name, tuple(value.shape), f"rms {value.square().mean().sqrt():.3f}, largest {value.abs().max():.3f}")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=pathlib.Path, help="where the folders of the cases are written")
    folder = arguments.parse_args().folder
    sizes = {"hidden_size": HIDDEN, "num_layers": LAYERS, "num_heads": HEADS, "intermediate_size": INNER,
             "norm_epsilon": EPSILON}
    write_case(folder, "vit1d-learned", 1, sizes | {
        "num_mels": 128, "positions": {"kind": "learned", "maximum_frames": LEARNED_FRAMES}, "norm": "layer-norm",
        "feed_forward": "gelu"})
    write_case(folder, "vit1d-rotary", 2, sizes | {
        "num_mels": 40, "positions": {"kind": "rotary", "base": 10000.0}, "norm": "rms-norm", "feed_forward": "gated"})


if __name__ == "__main__":
    main()
