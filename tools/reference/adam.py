#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "safetensors", "numpy"]
# ///
"""Five steps of PyTorch's Adam and AdamW: fixtures/golden/adam.

    python tools/reference/adam.py fixtures/golden/adam

A matrix, a bias and a parameter that has a gradient in the third and fifth step alone, along random gradients, once with
torch.optim.Adam and once with torch.optim.AdamW: betas (0.9, 0.98), epsilon 1e-6, weight decay 0.05 on the matrix and the
late parameter (the bias is a group without), the norm of all gradients clipped to 1.5 by torch.nn.utils.clip_grad_norm_, a
learning rate for each step. In single precision, as the program computes. Written are the initial values, the gradients
before clipping, their norms, and for either optimiser the values after each step and the moments after the last.
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file

SHAPES = {"weight": (5, 7), "bias": (7,), "late": (3, 4)}
RATES = [2e-3, 1e-2, 5e-3, 2.5e-3, 1e-3]
LATE_STEPS = (2, 4)


def main(folder):
    torch.manual_seed(11)
    initial = {name: torch.randn(shape) for name, shape in SHAPES.items()}
    gradients = [{name: torch.randn(shape) * (0.1 + step) / 2 for name, shape in SHAPES.items()} for step in range(5)]
    written = {f"initial.{name}": value.clone() for name, value in initial.items()}
    written["rates"] = torch.tensor(RATES)
    norms = []
    for kind, optimiser in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        parameters = {name: torch.nn.Parameter(value.clone()) for name, value in initial.items()}
        groups = [
            {"params": [parameters["weight"], parameters["late"]], "weight_decay": 0.05},
            {"params": [parameters["bias"]], "weight_decay": 0.0},
        ]
        optimizer = optimiser(groups, lr=1.0, betas=(0.9, 0.98), eps=1e-6)
        for step, rate in enumerate(RATES):
            for name, parameter in parameters.items():
                is_there = name != "late" or step in LATE_STEPS
                parameter.grad = gradients[step][name].clone() if is_there else None
                if is_there:
                    written[f"gradient.{step}.{name}"] = gradients[step][name].clone()
            for group in optimizer.param_groups:
                group["lr"] = rate
            norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.5)
            if kind == "adam":
                norms.append(norm)
            optimizer.step()
            for name, parameter in parameters.items():
                written[f"{kind}.{step}.{name}"] = parameter.detach().clone()
        for name, parameter in parameters.items():
            state = optimizer.state[parameter]
            written[f"{kind}.first.{name}"] = state["exp_avg"].clone()
            written[f"{kind}.second.{name}"] = state["exp_avg_sq"].clone()
    written["norms"] = torch.stack(norms)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(written, folder / "case.safetensors", {"torch": torch.__version__})
    print(torch.__version__, {name: tuple(value.shape) for name, value in written.items()}, norms)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
