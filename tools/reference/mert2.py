# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.*", "numpy==2.4.*", "safetensors==0.8.*", "gguf==0.19.*"]
# ///
"""MERT v2 in PyTorch, to check Solfa's against: makes the golden case `mert2-tiny`, or a full-size random checkpoint.

    python mert2.py tiny FOLDER [--peer PROGRAM]
    python mert2.py full-size FOLDER [--seconds 5]

Written from a description of the architecture (configuration keys, tensor names, and what each part does), with
`torch.nn` modules that are named so that their state dictionary has the published layout. The model's own Python was
not at hand.

`--peer` takes a program that computes the same by `clap-cpp` 0.1.1, the native implementation that the description was
taken from, called as `PROGRAM MODEL.gguf CLIP.wav...`: it prints the mean over all frames of the last layer for every
clip, a line each, numbers separated by spaces. The program is these lines around the crate:

    let mut model = clap_cpp::CLAP::new(&arguments[1], 1)?;
    for wav in &arguments[2..] {
        let mean = model.encode_audio(wav, 0)?;
        println!("{}", mean.iter().map(|value| format!("{value:.9e}")).collect::<Vec<_>>().join(" "));
    }

It is run once for every number of layers, on models cut short, so that every layer's mean is known.
"""

import argparse
import json
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

TINY = {
    "model_type": "mert2",
    "variant": "fs",
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_mel_bins": 16,
    "sampling_rate": 24000,
    "n_fft": 512,
    "win_length": 512,
    "hop_length": 240,
    "minimum_input_samples": 257,
    "inputs_to_logits_ratio": 960,
    "subsampling_channels": [16, 24, 32],
    "subsampling_depths": [1, 2, 1],
    "conv_depthwise_kernel_size": 5,
    "layer_norm_eps": 1e-5,
    "subsampling_layer_norm_eps": 1e-6,
    "rotary_embedding_base": 10000.0,
    "context_seconds": 360.0,
}

# The published number of layers, width and parameters (632 million); the sizes of the front end are chosen to fit them.
FULL_SIZE = TINY | {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_mel_bins": 128,
    "n_fft": 2048,
    "win_length": 2048,
    "minimum_input_samples": 1025,
    "subsampling_channels": [128, 256, 1024],
    "subsampling_depths": [3, 3, 6],
    "conv_depthwise_kernel_size": 31,
}


class SwapTimeAndChannels(nn.Module):
    def forward(self, hidden):
        return hidden.transpose(1, 2)


class GlobalResponseNorm(nn.Module):
    """Woo et al. 2023, ConvNeXt V2, with the norm over time instead of an image's two dimensions."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, 1, width))
        self.bias = nn.Parameter(torch.empty(1, 1, width))

    def forward(self, hidden):
        energy = torch.linalg.vector_norm(hidden, dim=1, keepdim=True)
        response = energy / (energy.mean(dim=-1, keepdim=True) + 1e-6)
        return torch.addcmul(self.bias, self.weight, hidden * response) + hidden


class ConvNextLayer(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.depthwise_block = nn.Sequential(
            SwapTimeAndChannels(), nn.Conv1d(width, width, 7, padding=3, groups=width), SwapTimeAndChannels()
        )
        self.pointwise_block = nn.Sequential(
            nn.LayerNorm(width, eps=epsilon),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            GlobalResponseNorm(4 * width),
            nn.Linear(4 * width, width),
        )

    def forward(self, hidden):
        return hidden + self.pointwise_block(self.depthwise_block(hidden))


class SubsamplingStage(nn.Module):
    def __init__(self, before, width, depth, epsilon):
        super().__init__()
        if before is not None:
            self.resampling_layer = nn.Sequential(
                nn.LayerNorm(before, eps=epsilon),
                SwapTimeAndChannels(),
                nn.Conv1d(before, width, kernel_size=2, stride=2),
                SwapTimeAndChannels(),
            )
        self.convnext_layers = nn.Sequential(*[ConvNextLayer(width, epsilon) for _ in range(depth)])

    def forward(self, hidden):
        if hasattr(self, "resampling_layer"):
            hidden = self.resampling_layer(hidden)
        return self.convnext_layers(hidden)


class FeedForward(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w_1 = nn.Linear(config["hidden_size"], config["intermediate_size"])
        self.w_2 = nn.Linear(config["intermediate_size"], config["hidden_size"])

    def forward(self, hidden):
        return self.w_2(functional.gelu(self.w_1(hidden)))


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["hidden_size"]
        self.num_heads = config["num_attention_heads"]
        self.base = config["rotary_embedding_base"]
        for name in ["query", "key", "value", "out"]:
            setattr(self, f"{name}_proj", nn.Linear(width, width))

    def rotate(self, heads):
        """Each pair of dimensions (i, i + half) is a complex number that turns with time."""
        half = heads.shape[-1] // 2
        frequencies = self.base ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.outer(torch.arange(heads.shape[-2], dtype=torch.float64), frequencies)
        turn = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
        turned = torch.complex(heads[..., :half], heads[..., half:]) * turn
        return torch.cat([turned.real, turned.imag], dim=-1)

    def forward(self, hidden):
        batch, frames, width = hidden.shape
        query, key, value = (
            projection(hidden).view(batch, frames, self.num_heads, -1).transpose(1, 2)
            for projection in [self.query_proj, self.key_proj, self.value_proj]
        )
        query, key = self.rotate(query), self.rotate(key)
        maps = functional.softmax(query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5, dim=-1)
        return self.out_proj((maps @ value).transpose(1, 2).reshape(batch, frames, width)), maps


class ConvolutionModule(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, kernel = config["hidden_size"], config["conv_depthwise_kernel_size"]
        self.layer_norm = nn.LayerNorm(width, eps=config["layer_norm_eps"])
        self.conv_block = nn.Sequential(
            SwapTimeAndChannels(),
            nn.Conv1d(width, 2 * width, 1, bias=False),
            nn.GLU(dim=1),
            nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False),
            nn.Sequential(
                SwapTimeAndChannels(), nn.LayerNorm(width, eps=config["layer_norm_eps"]), SwapTimeAndChannels()
            ),
            nn.GELU(),
            nn.Conv1d(width, width, 1, bias=False),
            SwapTimeAndChannels(),
        )

    def forward(self, hidden):
        return self.conv_block(self.layer_norm(hidden))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        for name in ["ffn1", "attn", "ffn2", "final"]:
            setattr(self, f"{name}_layer_norm", nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"]))
        self.ffn1 = FeedForward(config)
        self.attn = Attention(config)
        self.conv_module = ConvolutionModule(config)
        self.ffn2 = FeedForward(config)

    def forward(self, hidden):
        hidden = hidden + self.ffn1(self.ffn1_layer_norm(hidden)) / 2
        attended, maps = self.attn(self.attn_layer_norm(hidden))
        hidden = hidden + attended
        hidden = hidden + self.conv_module(hidden)
        hidden = hidden + self.ffn2(self.ffn2_layer_norm(hidden)) / 2
        return self.final_layer_norm(hidden), maps


class FeatureExtractor(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.hop = config["hop_length"]
        bands, bins = config["num_mel_bins"], config["n_fft"] // 2 + 1
        self.register_buffer("mel_mean", torch.empty(bands))
        self.register_buffer("mel_std", torch.empty(bands))
        self.spectrogram = nn.Module()
        self.spectrogram.register_buffer("window", torch.empty(config["win_length"]))
        self.mel_scale = nn.Module()
        self.mel_scale.register_buffer("fb", torch.empty(bins, bands))

    def forward(self, wav):
        window = self.spectrogram.window
        spectrum = torch.stft(
            wav, len(window), self.hop, window=window, center=True, pad_mode="reflect", return_complex=True
        )
        bands = spectrum.abs().square().transpose(1, 2) @ self.mel_scale.fb
        decibels = 10 * torch.log10(bands.clamp(min=1e-10))
        normalized = (decibels - self.mel_mean) / self.mel_std.clamp(min=1e-5)
        return normalized[:, : wav.shape[1] // self.hop]


class Mert2(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.feature_extractor = FeatureExtractor(config)
        channels, depths = config["subsampling_channels"], config["subsampling_depths"]
        epsilon = config["subsampling_layer_norm_eps"]
        self.subsampling_module = nn.Sequential(
            *[
                SubsamplingStage(before, width, depth, epsilon)
                for before, width, depth in zip([None, *channels], channels, depths)
            ]
        )
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(self, wav):
        mel = self.feature_extractor(wav)
        hidden = self.subsampling_module(mel)
        outputs = {"mel": mel, "hidden_0": hidden}
        for number, layer in enumerate(self.layers, start=1):
            hidden, outputs[f"attention_{number}"] = layer(hidden)
            outputs[f"hidden_{number}"] = hidden
        return outputs


def fill_at_random(model, config, generator):
    """Every value, so that no term is a no-op: norms, biases, gains, and what the front end stores."""
    with torch.no_grad():
        for name, value in model.state_dict().items():
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith(("norm.weight", "pointwise_block.0.weight", "resampling_layer.0.weight", "4.1.weight")):
                value.copy_(1 + 0.2 * noise)
            elif name.endswith("pointwise_block.3.weight"):
                value.copy_(0.5 * noise)
            elif name.endswith("bias"):
                value.copy_(0.1 * noise)
            elif name.endswith("mel_mean"):
                value.copy_(2 * noise)
            elif name.endswith("mel_std"):
                value.copy_(8 + noise)
            elif name.endswith("window"):
                value.copy_(torch.hann_window(len(value)) * (1 + 0.05 * noise))
            elif name.endswith("fb"):
                value.copy_(random_filters(value.shape, generator))
            else:
                fan_in = value[0].numel()
                value.copy_(noise / fan_in**0.5)


def random_filters(shape, generator):
    """Overlapping bumps of random weights, zero elsewhere."""
    bins, bands = shape
    centres = torch.linspace(1, bins - 1, bands) ** 2 / bins
    distances = (torch.arange(bins)[:, None] - centres).abs()
    bumps = (1 - distances / (2 + centres / 6)).clamp(min=0)
    return bumps * (0.5 + torch.rand(shape, generator=generator))


def music(num_items, num_samples, rate, generator):
    """Decaying tones and some noise, in steps of 2^-15: a 16-bit file holds them exactly."""
    time = torch.arange(num_samples) / rate
    clips = []
    for _ in range(num_items):
        clip = 0.01 * torch.randn(num_samples, generator=generator)
        for _ in range(8):
            hertz, onset, level = torch.rand(3, generator=generator).tolist()
            since = (time - onset * time[-1]).clamp(min=0)
            clip += (0.05 + 0.2 * level) * torch.sin(2 * torch.pi * 60 * 100**hertz * since) * torch.exp(-4 * since)
        clips.append(torch.round(clip.clamp(-0.99, 0.99) * 2**15) / 2**15)
    return torch.stack(clips)


def write_gguf(path, config, tensors):
    import gguf

    writer = gguf.GGUFWriter(path, config["model_type"])
    writer.add_string("mert2.config", json.dumps(config))
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def means_of_peer(program, config, tensors, wav):
    """The mean over the frames of every layer from 1 on, `[items, hidden_size]` each."""
    means = {}
    with tempfile.TemporaryDirectory() as folder:
        clips = [Path(folder) / f"{item}.wav" for item in range(len(wav))]
        for path, clip in zip(clips, wav):
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, config["sampling_rate"], 0, "NONE", ""))
                file.writeframes((clip * 2**15).to(torch.int16).numpy().tobytes())
        for last_layer in range(1, config["num_hidden_layers"] + 1):
            path = Path(folder) / "model.gguf"
            beyond = tuple(f"layers.{layer}." for layer in range(last_layer, config["num_hidden_layers"]))
            kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(beyond or "no layer")}
            write_gguf(path, config | {"num_hidden_layers": last_layer}, kept)
            lines = subprocess.run([program, path, *clips], check=True, capture_output=True, text=True).stdout
            values = [[float(value) for value in line.split()] for line in lines.splitlines()]
            means[f"clap_cpp_mean_{last_layer}"] = torch.tensor(values)
    return means


def save_checkpoint(folder, config, model):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return tensors


def report(name, found, expected):
    rms = expected.square().mean().sqrt()
    print(f"{name}: {list(found.shape)}, differs by {((found - expected).abs().max() / rms).item():.2e} of rms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=["tiny", "full-size"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--peer")
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(20260901)
    is_tiny = arguments.size == "tiny"
    config = TINY if is_tiny else FULL_SIZE
    model = Mert2(config).eval()
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters")
    fill_at_random(model, config, generator)
    tensors = save_checkpoint(arguments.folder, config, model)
    # 107 frames of the spectrogram, of which each halving drops one, and a rest of samples.
    num_samples = 107 * 240 + 111 if is_tiny else int(arguments.seconds * config["sampling_rate"])
    wav = music(2 if is_tiny else 1, num_samples, config["sampling_rate"], generator)
    with torch.no_grad():
        outputs = model(wav)
    # What double precision gives instead shows how much of a difference single precision accounts for.
    if is_tiny:
        model.double()
        with torch.no_grad():
            exact = model(wav.double())
        for name, output in outputs.items():
            report(f"{name} in single precision", output, exact[name].float())
    else:
        outputs = {name: output for name, output in outputs.items() if not name.startswith("attention")}
    if arguments.peer:
        for name, mean in means_of_peer(arguments.peer, config, tensors, wav).items():
            report(name, mean, outputs[name.replace("clap_cpp_mean", "hidden")].mean(dim=1))
            outputs[name] = mean
    save_file({"wav": wav}, arguments.folder / "inputs.safetensors")
    outputs = {name: output.contiguous() for name, output in outputs.items()}
    save_file(outputs, arguments.folder / "outputs.safetensors")


if __name__ == "__main__":
    main()
