#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["scikit-learn", "safetensors", "numpy"]
# ///
"""Mini-batch k-means by scikit-learn: fixtures/golden/kmeans.

    python tools/reference/kmeans.py fixtures/golden/kmeans

- `rows`, `initial`, `batches`: single precision, and the rows of each of five batches. `centroids_i` are those after
  batch `i` (`partial_fit`, without reassignment), `labels` and `inertia` what the last ones make of all rows; computed in
  double precision.
- `cloud_inertias`: the inertia of five fits with the settings of HuBERT's `learn_kmeans.py` but smaller batches, seeds 0
  to 4, of 20,000 rows that `cloud` makes. They are not stored: a test makes the same ones.
"""
import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file
from sklearn.cluster import MiniBatchKMeans


def units(first, count):
    """Numbers of the generator splitmix64, from 0 to 1."""
    with np.errstate(over="ignore"):
        state = (np.arange(first, first + count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def cloud(rows=20_000, dim=8, clouds=60):
    centres = units(0, clouds * dim).reshape(clouds, dim) * 10.0
    noise = units(1_000_000, rows * dim * 4).reshape(rows, dim, 4)
    noise = noise[..., 0] + noise[..., 1] + noise[..., 2] + noise[..., 3] - 2.0
    return (centres[np.arange(rows) % clouds] + noise).astype(np.float32)


def main(folder):
    random = np.random.default_rng(20260611)
    centres = random.normal(size=(8, 5)) * 3 + 20
    rows = (centres[random.integers(8, size=300)] + random.normal(size=(300, 5))).astype(np.float32)
    initial = rows[:6] + np.float32(0.125)
    batches = random.integers(300, size=(5, 80))
    tensors = {"rows": rows, "initial": initial, "batches": batches}
    model = MiniBatchKMeans(n_clusters=6, init=initial.astype(np.float64), n_init=1, reassignment_ratio=0.0)
    for number, batch in enumerate(batches):
        model.partial_fit(rows[batch].astype(np.float64))
        tensors[f"centroids_{number}"] = model.cluster_centers_.astype(np.float32)
    labels = model.predict(rows.astype(np.float64))
    tensors["labels"] = labels.astype(np.int64)
    distances = ((rows.astype(np.float64) - model.cluster_centers_[labels]) ** 2).sum()
    tensors["inertia"] = np.array([distances], dtype=np.float32)

    points = cloud()
    inertias = []
    for seed in range(5):
        fit = MiniBatchKMeans(
            n_clusters=50, init="k-means++", max_iter=100, batch_size=1000, tol=0.0, n_init=20, max_no_improvement=100,
            reassignment_ratio=0.0, random_state=seed, compute_labels=False,
        ).fit(points)
        inertias.append(-fit.score(points))
    print("inertias", inertias)
    tensors["cloud_inertias"] = np.array(inertias, dtype=np.float32)
    tensors["cloud_head"] = points[:2]
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "case.safetensors")


main(pathlib.Path(sys.argv[1]))
