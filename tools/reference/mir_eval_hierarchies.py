#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["mir_eval==0.8.2", "numpy"]
# ///
"""The golden case `mir-hierarchies`: synthetic structure in several levels, with mir_eval's T- and L-measures.

Run by hand, never by a test:

    python tools/reference/mir_eval_hierarchies.py fixtures/golden/mir-hierarchies

A level has the boundaries of the one above it and some more. Estimates have other levels, other numbers of them, and end
earlier or later than the reference; some boundaries lie on multiples of 0.1 s.
"""
import json
import pathlib
import sys
import warnings

import mir_eval
import numpy as np


def hierarchy(rng, end, num_levels, decimals):
    times = [0.0, end]
    levels = []
    for depth in range(num_levels):
        more = np.round(rng.uniform(0.5, end - 0.5, 2 + 2 * depth), decimals)
        times = sorted({*times, *(float(time) for time in more)})
        intervals = [[start, stop] for start, stop in zip(times[:-1], times[1:])]
        labels = [str(rng.choice(["a", "b", "c", "B"])) for _ in intervals]
        levels.append({"intervals": intervals, "labels": labels})
    return levels


def scores(reference, estimate):
    def lists(levels):
        return [np.array(level["intervals"]) for level in levels], [list(level["labels"]) for level in levels]

    found = mir_eval.hierarchy.evaluate(*lists(reference), *lists(estimate))
    return {name: float(value) for name, value in found.items()}


def main():
    warnings.simplefilter("ignore")
    folder = pathlib.Path(sys.argv[1])
    inputs, outputs = {}, {}
    for number in range(6):
        rng = np.random.default_rng(200 + number)
        end, decimals = float(np.round(rng.uniform(20, 60), 2)), [1, 4][number % 2]
        reference = hierarchy(rng, end, 1 + number % 3, decimals)
        estimate = hierarchy(rng, end * [1.0, 0.8, 1.2][number // 2], 1 + (number + 1) % 3, decimals)
        name = f"hierarchy_{number}"
        inputs[name] = {"reference": reference, "estimate": estimate}
        outputs[name] = scores(reference, estimate)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inputs.json").write_text(json.dumps(inputs) + "\n")
    outputs = {"scores": outputs, "mir_eval_version": mir_eval.__version__}
    (folder / "outputs.json").write_text(json.dumps(outputs, indent=1) + "\n")


if __name__ == "__main__":
    main()
