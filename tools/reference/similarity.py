#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy==2.*", "safetensors"]
# ///
"""Similarity of layers, from the papers' formulas in numpy: fixtures/golden/similarity.

    python tools/reference/similarity.py fixtures/golden/similarity

Other routes than the program's, wherever there is one: CKA by the centring matrix, its unbiased terms by the three sums of
Song et al. (equation 5), canonical correlations by inverse square roots of covariances.
"""
import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file


def centred(x):
    return x - x.mean(axis=0)


def hsic_biased(x, y):
    items = len(x)
    centring = np.eye(items) - 1 / items
    return np.trace(x @ x.T @ centring @ y @ y.T @ centring)


def hsic_unbiased(x, y):
    items = len(x)
    k, l = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    ones = np.ones(items)
    first = np.trace(k @ l)
    second = (ones @ k @ ones) * (ones @ l @ ones) / ((items - 1) * (items - 2))
    third = 2 * (ones @ k @ l @ ones) / (items - 2)
    return (first + second - third) / (items * (items - 3))


def cka(hsic, x, y):
    return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


def inverse_root(covariance):
    values, vectors = np.linalg.eigh(covariance)
    return vectors / np.sqrt(values) @ vectors.T


def canonical(x, y):
    """Correlations, and the unit-length canonical variates of both sides in columns."""
    x, y = centred(x), centred(y)
    white_x, white_y = x @ inverse_root(x.T @ x), y @ inverse_root(y.T @ y)
    left, correlations, right = np.linalg.svd(white_x.T @ white_y, full_matrices=False)
    return correlations, white_x @ left, white_y @ right.T


def pwcca(x, y):
    correlations, of_x, of_y = canonical(x, y)
    means = []
    for variates, layer in ((of_x, centred(x)), (of_y, centred(y))):
        weights = np.abs(variates.T @ layer).sum(axis=1)
        means.append((weights / weights.sum() * correlations).sum())
    return means


def principal(x, share):
    x = centred(x)
    values, vectors = np.linalg.eigh(x.T @ x)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = np.searchsorted(np.cumsum(values) / values.sum(), share) + 1
    return x @ vectors[:, :kept]


def effective_rank(x):
    values = np.linalg.svd(centred(x), compute_uv=False)
    shares = values / values.sum()
    return np.exp(-(shares * np.log(shares)).sum())


def main(folder):
    random = np.random.default_rng(20261121)
    items = 150
    common = random.normal(size=(items, 6))
    x = common @ random.normal(size=(6, 20)) * np.geomspace(5, 0.01, 20) + 0.1 * random.normal(size=(items, 20)) + 3
    y = np.tanh(common @ random.normal(size=(6, 12))) + 0.3 * random.normal(size=(items, 12)) - 1
    x, y = x.astype(np.float32), y.astype(np.float32)
    wide, tall = x.astype(np.float64), y.astype(np.float64)
    reduced = principal(wide, 0.99), principal(tall, 0.99)
    correlations, _, _ = canonical(wide, tall)
    outputs = {
        "cka": [cka(hsic_biased, wide, tall)],
        "cka_debiased": [cka(hsic_unbiased, wide, tall)],
        "correlations": correlations,
        "pwcca": pwcca(wide, tall),
        "svcca": [canonical(*reduced)[0].mean()],
        "svcca_ranks": [reduced[0].shape[1], reduced[1].shape[1]],
        "effective_ranks": [effective_rank(wide), effective_rank(tall)],
    }
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"x": x, "y": y}, folder / "inputs.safetensors")
    save_file({name: np.asarray(values, np.float64) for name, values in outputs.items()}, folder / "outputs.safetensors")
    for name, values in outputs.items():
        print(name, np.asarray(values))


main(sys.argv[1])
