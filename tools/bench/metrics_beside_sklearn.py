#!/usr/bin/env python3
"""ROC-AUC, average precision and F1 of 11,000 tracks and 87 tags beside scikit-learn, on the same numbers.

    cargo build --release -p solfa-eval --example metric_speed
    ~/.cache/solfa-peers/bin/python tools/bench/metrics_beside_sklearn.py

Prints the fastest of some runs of each, the ratio, and how far the two values are apart.
"""
import pathlib
import subprocess
import tempfile
import time
import os

import numpy
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

SHAPE = (11_000, 87)
PROGRAM = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"), "release/examples/metric_speed")


def main():
    random = numpy.random.default_rng(1)
    labels = random.random(SHAPE) < 0.05
    scores = (random.random(SHAPE) + 0.3 * labels).astype(numpy.float32)
    scores = numpy.where(random.random(SHAPE) < 0.5, scores.round(2), scores).astype(numpy.float32)
    with tempfile.TemporaryDirectory() as folder:
        labels.astype(numpy.uint8).tofile(pathlib.Path(folder, "labels.u8"))
        scores.tofile(pathlib.Path(folder, "scores.f32"))
        output = subprocess.run([PROGRAM, folder], check=True, capture_output=True, text=True).stdout
    print(output.splitlines()[0])
    ours = {words[0]: (float(words[1]), float(words[3])) for words in map(str.split, output.splitlines()[2:])}
    theirs = {
        "roc_auc_macro": lambda: roc_auc_score(labels, scores, average="macro"),
        "average_precision_macro": lambda: average_precision_score(labels, scores, average="macro"),
        "f1_macro": lambda: f1_score(labels, scores >= 0.5, average="macro", zero_division=0),
        "roc_auc_micro": lambda: roc_auc_score(labels, scores, average="micro"),
        "average_precision_micro": lambda: average_precision_score(labels, scores, average="micro"),
    }
    for name, score in theirs.items():
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            value = score()
            times.append((time.perf_counter() - begun) * 1e3)
        milliseconds, our_value = ours[name]
        print(f"{name:<24} {milliseconds:8.1f} ms, scikit-learn {min(times):8.1f} ms, {min(times) / milliseconds:5.1f} x, "
              f"values {abs(value - our_value):.0e} apart")


if __name__ == "__main__":
    main()
