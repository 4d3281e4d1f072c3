#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.*", "torchaudio", "safetensors==0.8.*"]
# ///
"""The golden case `multi-view-tiny`: the multi-view ResNet at a width of 4, with random weights, in PyTorch.

Needs torch, torchaudio and safetensors. Run by hand, never by a test:

    python tools/reference/multi_view_resnet.py fixtures/golden/multi-view-tiny --check FULL_SIZE_CASE

`FULL_SIZE_CASE` is a folder with `contrastive.pt`, `inputs.safetensors` (`wav`) and `outputs.safetensors` (`mel_db`,
`embedding`) that the release's own code computed at full size. The network below is first held to these, so the tiny
case has their authority. Written from arXiv:2404.09177, sec. 3, the layout of the released files, and the description of
the modified ResNet in Radford et al. 2021 (CLIP, arXiv:2103.00020, sec. 2.4).
"""
import argparse
import pathlib

import torch
import torch.nn.functional as F
import torchaudio
from safetensors.torch import load_file, save_file
from torch import nn

SAMPLE_RATE = 16_000
CLIP_SAMPLES = 64_000
STAGE_DEPTHS = (3, 4, 6, 3)
NUM_HEADS = 8
PREFIX = "module.backbone."


class MelDecibels(nn.Module):
    def __init__(self):
        super().__init__()
        self.spec = torchaudio.transforms.MelSpectrogram(
            sample_rate=SAMPLE_RATE, n_fft=1024, f_min=0, f_max=11025, n_mels=128, normalized=True, mel_scale="slaney")
        self.decibels = torchaudio.transforms.AmplitudeToDB(top_db=100)

    def forward(self, wav):
        return self.decibels(self.spec(wav.unsqueeze(1)))


class Bottleneck(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = None
        if stride > 1 or channels_in != 4 * channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, 4 * channels, 1, bias=False), nn.BatchNorm2d(4 * channels))

    def forward(self, image):
        def pool(image):
            return F.avg_pool2d(image, self.stride) if self.stride > 1 else image

        hidden = F.relu(self.bn1(self.conv1(image)))
        hidden = pool(F.relu(self.bn2(self.conv2(hidden))))
        shortcut = image if self.downsample is None else self.downsample(pool(image))
        return F.relu(self.bn3(self.conv3(hidden)) + shortcut)


class AttentionPooling(nn.Module):
    """Written out with matrix products, so that it shares nothing with `torch.nn.functional`'s attention."""

    def __init__(self, positions, dim, output_dim):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(positions, dim) / dim ** 0.5)
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.c_proj = nn.Linear(dim, output_dim)

    def forward(self, image):
        cells = image.flatten(2).transpose(1, 2)
        tokens = torch.cat([cells.mean(1, keepdim=True), cells], 1) + self.positional_embedding
        batch, count, dim = tokens.shape

        def heads(values):
            return values.reshape(batch, -1, NUM_HEADS, dim // NUM_HEADS).transpose(1, 2)

        query, key, value = heads(self.q_proj(tokens[:, :1])), heads(self.k_proj(tokens)), heads(self.v_proj(tokens))
        weights = (query @ key.transpose(2, 3) / (dim // NUM_HEADS) ** 0.5).softmax(-1)
        return self.c_proj((weights @ value).transpose(1, 2).reshape(batch, dim))


class ModifiedResNet(nn.Module):
    def __init__(self, width, embedding_size):
        super().__init__()
        half = width // 2
        self.conv1, self.bn1 = nn.Conv2d(1, half, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv2, self.bn2 = nn.Conv2d(half, half, 3, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = nn.Conv2d(half, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        channels_in = width
        for stage, depth in enumerate(STAGE_DEPTHS):
            blocks = []
            for block in range(depth):
                blocks.append(Bottleneck(channels_in, width << stage, 2 if stage > 0 and block == 0 else 1))
                channels_in = 4 * (width << stage)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.attnpool = AttentionPooling(4 * 3 + 1, channels_in, embedding_size)

    def forward(self, image):
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            image = F.relu(norm(conv(image)))
        image = F.avg_pool2d(image, 2)
        stages = []
        for stage in range(1, 5):
            image = getattr(self, f"layer{stage}")(image)
            stages.append(image.mean((2, 3)))
        return stages, self.attnpool(image)


class Backbone(nn.Module):
    def __init__(self, width, embedding_size):
        super().__init__()
        self.spec = MelDecibels()
        self.embedding = ModifiedResNet(width, embedding_size)

    def forward(self, wav):
        mel = self.spec(wav)
        return mel, *self.embedding(mel)


def check(folder):
    """Prints how far the full-size network is from the release's own results, and stops where that is too far."""
    weights = torch.load(folder / "contrastive.pt", map_location="cpu", weights_only=True)["model"]
    backbone = Backbone(16, 1024).eval()
    backbone.load_state_dict({name.removeprefix(PREFIX): value for name, value in weights.items()}, strict=True)
    expected = load_file(folder / "outputs.safetensors")
    mel, _, embedding = backbone(load_file(folder / "inputs.safetensors")["wav"])
    for name, found in (("mel_db", mel), ("embedding", embedding)):
        difference = (found - expected[name]).abs().max() / expected[name].square().mean().sqrt()
        print(f"{name}: {difference:.2e} of rms from the release's own code")
        assert difference < 1e-4


def clips():
    """Decaying notes and noise. Neither clip peaks at 1: the network takes waveforms as they are."""
    time = torch.arange(CLIP_SAMPLES) / SAMPLE_RATE
    decay = torch.exp(-3 * (time * 4 % 1))
    made = []
    for pitch, gain in ((110.0, 0.6), (233.0, 0.2)):
        note = torch.floor(time * 4)
        frequency = pitch * 2 ** ((note * 7 % 24) / 12)
        tone = sum(torch.sin(2 * torch.pi * frequency * harmonic * time) / harmonic for harmonic in range(1, 6))
        made.append(gain * decay * tone / 2.5 + 0.01 * torch.randn(CLIP_SAMPLES))
    return torch.stack(made)


def randomise(backbone, wav):
    """No term is a no-op: norms with random scales and shifts about what their inputs really are, and a window and a
    filter bank that are not the standard ones."""
    window, filters = backbone.spec.spec.spectrogram.window, backbone.spec.spec.mel_scale.fb
    window.mul_(1 + 0.1 * torch.rand_like(window))
    filters.mul_(1 + 0.2 * torch.rand_like(filters))
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.normal_(norm.weight, 1.0, 0.2)
        nn.init.normal_(norm.bias, 0.0, 0.3)
    backbone.train()
    backbone(wav)
    for norm in norms:
        norm.running_mean += 0.2 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
        norm.running_var *= 1 + 0.3 * torch.rand_like(norm.running_var)
    nn.init.normal_(backbone.embedding.attnpool.positional_embedding, 0.0, 0.5)
    backbone.eval()


@torch.no_grad()
def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=pathlib.Path, help="where the case is written")
    arguments.add_argument("--check", type=pathlib.Path, required=True, help="the full-size case")
    arguments = arguments.parse_args()
    check(arguments.check)
    torch.manual_seed(0)
    wav = clips()
    backbone = Backbone(4, 32)
    randomise(backbone, wav)
    mel, stages, embedding = backbone(wav)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    weights = {PREFIX + name: value for name, value in backbone.state_dict().items()}
    # A head of pre-training, which a user of the backbone does not need, and what training programs keep beside.
    weights["module.head.ops.0.weight"] = torch.randn(8, 32)
    torch.save({"model": weights, "epoch": 3, "gin_info": ["Backbone.duration = 4"]}, arguments.folder / "contrastive.pt")
    save_file({"wav": wav}, arguments.folder / "inputs.safetensors")
    outputs = {"mel_db": mel, "embedding": embedding}
    outputs |= {f"stage_{number}": mean for number, mean in enumerate(stages, start=1)}
    save_file({name: value.contiguous() for name, value in outputs.items()}, arguments.folder / "outputs.safetensors")
    for name, value in outputs.items():
        print(name, tuple(value.shape), f"rms {value.square().mean().sqrt():.3f}")


if __name__ == "__main__":
    main()
