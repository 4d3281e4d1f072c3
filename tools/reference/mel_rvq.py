#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "safetensors", "numpy"]
# ///
"""One training pass of Mel-RVQ on PyTorch's functions: fixtures/golden/mel-rvq.

    python tools/reference/mel_rvq.py fixtures/golden/mel-rvq

Computed in double precision from inputs in single precision, with the gradients of PyTorch's autograd. Every stage is a
weight-normed linear layer to the code's width, a lookup by angle, codes at their own length passed straight through, and
a weight-normed linear layer back, whose output is taken off the residual. The loss is a quarter of the commitment, the
codebook's part (both mean squares, added over stages) and the mean absolute error. Tensors of the model have the
project's own names.
"""
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

BATCH, FRAMES, INPUT, STAGES, CODES, WIDTH = 2, 9, 12, 3, 10, 4


def main(folder):
    torch.manual_seed(20260611)
    model = {}

    def parameter(name, *shape):
        values = torch.randn(*shape).float()
        model[f"model.{name}"] = values
        return values.double().requires_grad_()

    stages = []
    for stage in range(STAGES):
        parts = {}
        for name, inputs, outputs in [("project_in", INPUT, WIDTH), ("project_out", WIDTH, INPUT)]:
            parts[f"{name}.gain"] = parameter(f"stages.{stage}.{name}.gain", outputs, 1, 1)
            parts[f"{name}.direction"] = parameter(f"stages.{stage}.{name}.direction", outputs, inputs, 1)
            parts[f"{name}.bias"] = parameter(f"stages.{stage}.{name}.bias", outputs)
        parts["codebook.weight"] = parameter(f"stages.{stage}.codebook.weight", CODES, WIDTH)
        stages.append(parts)

    def project(parts, name, values):
        direction, gain = parts[f"{name}.direction"], parts[f"{name}.gain"]
        weight = gain * direction / direction.norm(dim=1, keepdim=True)
        return F.linear(values, weight[:, :, 0], parts[f"{name}.bias"])

    tensors = {"input": torch.randn(BATCH, FRAMES, INPUT).float()}
    values = tensors["input"].double().requires_grad_()
    residual, reconstruction, commitment, codebook = values, 0.0, 0.0, 0.0
    numbers = []
    for number, parts in enumerate(stages):
        latents = project(parts, "project_in", residual)
        table = parts["codebook.weight"]
        cosines = F.normalize(latents, dim=-1) @ F.normalize(table, dim=-1).T
        nearest, second = cosines.topk(2, dim=-1).values.unbind(-1)
        assert (nearest - second).min() > 1e-5, "two codes as good as equal"
        chosen = cosines.argmax(-1)
        codes = F.embedding(chosen, table)
        commitment = commitment + F.mse_loss(latents, codes.detach())
        codebook = codebook + F.mse_loss(codes, latents.detach())
        output = project(parts, "project_out", latents + (codes - latents).detach())
        residual, reconstruction = residual - output, reconstruction + output
        numbers.append(chosen)
        tensors[f"latents_{number}"], tensors[f"codes_{number}"] = latents, codes
    # No gradient goes from the input to its own reconstruction error.
    loss = 0.25 * commitment + codebook + (reconstruction - values.detach()).abs().mean()
    loss.backward()
    tensors |= {"reconstruction": reconstruction, "loss": loss, "input_gradient": values.grad}
    for number, parts in enumerate(stages):
        for name, leaf in parts.items():
            tensors[f"gradient.stages.{number}.{name}"] = leaf.grad
    tensors = {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}
    tensors["numbers"] = torch.stack(numbers, 1)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model, folder / "model.safetensors")
    save_file(tensors, folder / "case.safetensors")


main(pathlib.Path(sys.argv[1]))
