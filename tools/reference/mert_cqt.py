#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.*", "torchaudio", "transformers==4.46.3", "nnAudio==0.3.4", "librosa==0.11.*", "safetensors==0.8.*"]
# ///
"""Makes fixtures/golden/mert-cqt-tiny: MERT's own code with everything that its releases leave switched off.

The release's network is HuBERT's, which other golden cases pin. This one has the constant-Q transform beside the
convolutions (`feature_extractor_cqt`), residuals weighed as in DeepNet (`deepnorm`) and the logits' detour
(`attention_relax`), with random weights in the release's layout: `pytorch_model.bin`, and weight norm in PyTorch's older
spelling. As published, the detour fails at its first call: it takes `torch.max` over a dimension for a tensor, and that is
a pair. Here the pair's first half is handed over.

Set up once:

    python3 -m venv ~/.cache/solfa-peers
    ~/.cache/solfa-peers/bin/pip install torch "transformers==4.46.3" nnAudio safetensors numpy
    git clone https://github.com/yizhilll/MERT && git -C MERT checkout 391062e4

Then:

    ~/.cache/solfa-peers/bin/python tools/reference/mert_cqt.py MERT fixtures/golden/mert-cqt-tiny
"""
import argparse
import json
import pathlib
import sys
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import Wav2Vec2FeatureExtractor

SAMPLE_RATE = 16_000
NUM_SAMPLES = 12_800


def recordings():
    """Two unlike clips, with an offset and far from variance 1, so that normalisation shows."""
    random = np.random.default_rng(5)
    time = np.arange(NUM_SAMPLES) / SAMPLE_RATE
    chord = sum(np.sin(2 * np.pi * hertz * time) / (1 + number) for number, hertz in enumerate((98, 196, 246.9, 392, 1568)))
    sweep = np.sin(2 * np.pi * (60 * time + 1500 * time**2))
    clips = [0.2 * chord * np.exp(-2 * time) + 0.05, 0.4 * sweep - 0.02]
    return [(clip + random.normal(0, 0.005, NUM_SAMPLES)).astype(np.float32) for clip in clips]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mert", type=pathlib.Path, help="checkout of github.com/yizhilll/MERT")
    parser.add_argument("output", type=pathlib.Path)
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.mert / "scripts"))
    from mert_hf.configuration_MERT import MERTConfig
    from mert_hf.modeling_MERT import MERTModel

    torch.manual_seed(17)
    config = MERTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, conv_dim=(16,) * 7,
        num_conv_pos_embedding_groups=4, layerdrop=0.0, sample_rate=SAMPLE_RATE, feature_extractor_cqt=True,
        feature_extractor_cqt_bins=21, deepnorm=True, attention_relax=32.0, attn_implementation="eager",
    )
    model = MERTModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("layer_norm.weight") or "original0" in name:
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            elif parameter.dim() == 1:
                parameter.copy_(0.1 * torch.randn_like(parameter))
            else:
                parameter.copy_(torch.randn_like(parameter) * (1.5 / parameter[0].numel() ** 0.5))
    preprocessor = Wav2Vec2FeatureExtractor(sampling_rate=SAMPLE_RATE, do_normalize=True)
    clips = recordings()
    values = preprocessor(clips, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
    pair_of_maximum = torch.max
    with torch.no_grad(), mock.patch.object(torch, "max", lambda *of, **options: pair_of_maximum(*of, **options).values):
        result = model(values, output_hidden_states=True, output_attentions=True)
        magnitudes = model.feature_extractor_cqt(values).transpose(1, 2)
    outputs = {"normalized": values, "cqt": magnitudes}
    outputs |= {f"hidden_{number}": hidden for number, hidden in enumerate(result.hidden_states)}
    outputs |= {f"attention_{number}": weights for number, weights in enumerate(result.attentions)}

    arguments.output.mkdir(parents=True, exist_ok=True)
    older = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    weights = {}
    for name, tensor in model.state_dict().items():
        for new, old in older.items():
            name = name.replace(new, old)
        weights[name] = tensor.contiguous().clone()
    torch.save(weights, arguments.output / "pytorch_model.bin")
    config.architectures = ["MERTModel"]
    config.save_pretrained(arguments.output)
    preprocessor.save_pretrained(arguments.output)
    save_file({"wav": torch.tensor(np.stack(clips))}, arguments.output / "inputs.safetensors")
    save_file({name: tensor.contiguous().clone() for name, tensor in outputs.items()}, arguments.output / "outputs.safetensors")
    print(json.dumps({name: list(tensor.shape) for name, tensor in outputs.items()}))


main()
