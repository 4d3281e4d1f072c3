#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "safetensors", "numpy"]
# ///
"""Losses of masked prediction on PyTorch's functions: fixtures/golden/objectives.

    python tools/reference/objectives.py fixtures/golden/objectives

Computed in double precision from inputs in single precision, with the gradients of PyTorch's autograd. What each follows:

- `masked`: cross-entropy at hidden frames, averaged over frames and codebooks.
- `hubert`: the paper's equation 3 and fairseq's criterion: the right code's cosine first, then those of all codes, the
  right one among them at minus infinity; sums over teachers divided by the frames whose weight is not zero; ten times the
  features' mean square.
- `cqt`: MERT's mean square error at hidden frames.
- `regression`: fairseq's data2vec loss, and its target of instance-normalised layers.
- `rvq`: commitment, codebook and reconstruction with stopped gradients.
"""
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

BATCH, FRAMES = 2, 6
TENSORS = {}


def stored(name, values):
    assert name not in TENSORS, name
    TENSORS[name] = values


def drawn(name, *shape):
    """A leaf of normal numbers that single precision can hold."""
    values = torch.randn(*shape).float()
    stored(name, values)
    return values.double().requires_grad_()


def numbers(name, below, *shape):
    values = torch.randint(below, shape)
    stored(name, values)
    return values


def gradients(prefix, loss, **leaves):
    for name, gradient in zip(leaves, torch.autograd.grad(loss, list(leaves.values()), retain_graph=True)):
        stored(f"{prefix}_{name}", gradient)


def masked_prediction(mask):
    logits = drawn("masked_logits", BATCH, FRAMES, 3, 7)
    targets = numbers("masked_targets", 7, BATCH, FRAMES, 3)
    chosen, right = logits[mask].reshape(-1, 7), targets[mask].reshape(-1)
    loss = F.cross_entropy(chosen, right)
    stored("masked_loss", loss)
    stored("masked_accuracy", (chosen.argmax(-1) == right).double().mean())
    gradients("masked", loss, grad=logits)


def hubert(mask):
    sizes = [(9, 8), (4, 5)]
    teachers = [
        (
            drawn(f"hubert_projected_{number}", BATCH, FRAMES, dim),
            drawn(f"hubert_embeddings_{number}", codes, dim),
            numbers(f"hubert_targets_{number}", codes, BATCH, FRAMES),
        )
        for number, (codes, dim) in enumerate(sizes)
    ]
    features = drawn("hubert_features", BATCH, FRAMES, 10)

    def sums(where):
        """Cross-entropies added over frames, and how many are right, for each teacher."""
        for projected, embeddings, targets in teachers:
            frames, right = projected[where], targets[where]
            positive = embeddings[right]
            among = torch.cat([positive[None], embeddings[:, None].expand(-1, len(frames), -1)])
            logits = F.cosine_similarity(frames[None], among, dim=-1) / 0.1
            logits[1:][(embeddings[:, None] == positive[None]).all(-1)] = -math.inf
            first = torch.zeros(len(frames), dtype=torch.long)
            yield F.cross_entropy(logits.T, first, reduction="sum"), (logits.argmax(0) == 0).double().sum()

    masked, unmasked = list(sums(mask)), list(sums(~mask))
    penalty = features.square().mean()
    stored("hubert_feature_penalty", penalty)
    for name, found, count in (("masked", masked, mask.sum()), ("unmasked", unmasked, (~mask).sum())):
        stored(f"hubert_{name}_loss", sum(loss for loss, _ in found) / count)
        stored(f"hubert_{name}_accuracy", sum(hits for _, hits in found) / count / len(teachers))
    add = lambda found: sum(loss for loss, _ in found)
    only_masked = add(masked) / mask.sum() + 10 * penalty
    with_unmasked = (add(masked) + 0.5 * add(unmasked)) / mask.numel() + 10 * penalty
    for name, loss in (("hubert", only_masked), ("hubert_both", with_unmasked)):
        stored(f"{name}_loss", loss)
        for number, (projected, embeddings, _) in enumerate(teachers):
            gradients(name, loss, **{f"grad_projected_{number}": projected, f"grad_embeddings_{number}": embeddings})
    gradients("hubert", only_masked, grad_features=features)


def cqt(mask):
    predicted, target = drawn("cqt_predicted", BATCH, FRAMES, 5), drawn("cqt_target", BATCH, FRAMES, 5)
    loss = F.mse_loss(predicted[mask], target[mask])
    stored("cqt_loss", loss)
    gradients("cqt", loss, grad=predicted)


def regression(mask):
    layers = drawn("teacher_layers", 5, BATCH, FRAMES, 8)
    normalised = [F.instance_norm(layer.transpose(1, 2)).transpose(1, 2) for layer in layers[-3:]]
    target = (sum(normalised) / 3).detach()
    stored("regression_target", target)
    predicted = drawn("regression_predicted", BATCH, FRAMES, 8)
    target = target.float().double()
    for name, beta in (("regression", 0.0), ("regression_smooth", 0.25)):
        pair = predicted[mask], target[mask]
        if beta == 0:
            costs = F.mse_loss(*pair, reduction="none")
        else:
            costs = F.smooth_l1_loss(*pair, reduction="none", beta=beta)
        loss = costs.sum(-1).mean() / math.sqrt(8)
        stored(f"{name}_loss", loss)
        gradients(name, loss, grad=predicted)
    for name, values in (("target", target), ("prediction", predicted)):
        stored(f"regression_{name}_deviation", values[mask].std(0, unbiased=False).mean())


def rvq():
    source, output = drawn("rvq_input", BATCH, FRAMES, 7), drawn("rvq_output", BATCH, FRAMES, 7)
    stages = [
        (drawn(f"rvq_latents_{number}", BATCH, FRAMES, 4), drawn(f"rvq_codes_{number}", BATCH, FRAMES, 4))
        for number in range(2)
    ]
    commitment = sum(F.mse_loss(latents, codes.detach()) for latents, codes in stages)
    codebook = sum(F.mse_loss(codes, latents.detach()) for latents, codes in stages)
    reconstruction = (source.detach() - output).abs().mean()
    loss = 0.25 * commitment + codebook + reconstruction
    stored("rvq_commitment", commitment)
    stored("rvq_codebook", codebook)
    stored("rvq_reconstruction", reconstruction)
    stored("rvq_loss", loss)
    gradients("rvq", loss, grad_output=output)
    for number, (latents, codes) in enumerate(stages):
        gradients("rvq", loss, **{f"grad_latents_{number}": latents, f"grad_codes_{number}": codes})


def main(folder):
    torch.manual_seed(6)
    mask = torch.tensor([[True, False, True, True, False, False], [False, True, True, False, True, True]])
    stored("mask", mask.long())
    masked_prediction(mask)
    hubert(mask)
    cqt(mask)
    regression(mask)
    rvq()
    tensors = {name: values.detach().reshape(values.shape or (1,)) for name, values in TENSORS.items()}
    tensors = {name: values if values.dtype == torch.long else values.float() for name, values in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: values.contiguous() for name, values in tensors.items()}, folder / "case.safetensors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
