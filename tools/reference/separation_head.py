#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "safetensors", "numpy"]
# ///
"""The head for separation on PyTorch's modules: fixtures/golden/separation-head.

    python tools/reference/separation_head.py fixtures/golden/separation-head

Linear, BatchNorm1d, LSTM and ReLU put together as the head's description says (MARBLE's probe for MUSDB18, which is
Open-Unmix on features), once in training mode without dropout and once with running statistics, in double precision.
Matrices are written as `[inputs, outputs]`, the two biases of an LSTM as their sum, and everything in the order in which the
program keeps it.
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch import nn

WIDTH, HIDDEN, BINS, LAYERS, FRAMES, BATCH = 5, 4, 6, 3, 7, 3


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.lstm = nn.LSTM(HIDDEN, HIDDEN, LAYERS)
        self.join = nn.Linear(2 * HIDDEN, HIDDEN, bias=False)
        self.leave = nn.Linear(HIDDEN, BINS, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in (HIDDEN, HIDDEN, BINS))
        self.scale = nn.Parameter(torch.randn(BINS))
        self.shift = nn.Parameter(torch.randn(BINS))

    def forward(self, features):
        rows = features.reshape(-1, WIDTH)
        entered = torch.tanh(self.norms[0](self.enter(rows))).reshape(FRAMES, BATCH, HIDDEN)
        heard = torch.cat([entered, self.lstm(entered)[0]], -1).reshape(-1, 2 * HIDDEN)
        hidden = torch.relu(self.norms[1](self.join(heard)))
        bins = self.norms[2](self.leave(hidden))
        return torch.relu(bins * self.scale + self.shift)

    def parameters_in_order(self):
        norm = lambda number: [self.norms[number].weight[None], self.norms[number].bias[None]]
        yield from [self.enter.weight.T, *norm(0)]
        for layer in range(LAYERS):
            of = lambda name: getattr(self.lstm, f"{name}_l{layer}")
            yield from [of("weight_ih").T, of("weight_hh").T, (of("bias_ih") + of("bias_hh"))[None]]
        yield from [self.join.weight.T, *norm(1), self.leave.weight.T, *norm(2), self.scale[None], self.shift[None]]

    def statistics_in_order(self):
        for norm in self.norms:
            yield from [norm.running_mean[None], norm.running_var[None]]


def main(folder):
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    head = Head()
    for norm in head.norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    features = torch.randn(FRAMES, BATCH, WIDTH)
    tensors = {f"parameter_{number:02}": value for number, value in enumerate(head.parameters_in_order())}
    tensors |= {f"statistic_{number}": value.clone() for number, value in enumerate(head.statistics_in_order())}
    tensors["features"] = features.reshape(-1, WIDTH)
    tensors["predicted"] = head.eval()(features)
    tensors["trained"] = head.train()(features)
    tensors |= {f"next_statistic_{number}": value for number, value in enumerate(head.statistics_in_order())}
    # A gradient through everything: the mean square of the outputs, with respect to the first linear layer.
    (head.eval()(features) ** 2).mean().backward()
    tensors["gradient"] = head.enter.weight.grad.T
    tensors = {name: value.detach().float().contiguous() for name, value in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "case.safetensors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
