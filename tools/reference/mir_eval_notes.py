#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["mir_eval==0.8.2", "numpy"]
# ///
"""The golden case `mir-notes`: transcriptions of synthetic notes, with mir_eval's scores.

Run by hand, never by a test:

    python tools/reference/mir_eval_notes.py fixtures/golden/mir-notes

Chords and runs of random notes; the estimate shifts, drops, splits, doubles and mistunes them. Some times lie on the
edges of the tolerances. The seventh and the eighth case are dense clusters, in which many pairings are of equal size, so
that the average overlap ratio shows which one was taken.
"""
import json
import pathlib
import sys

import mir_eval
import numpy as np


def hz(midi):
    return float(440 * 2 ** ((midi - 69) / 12))


def piece(rng, num_notes, seconds, pitches):
    onsets = np.sort(rng.uniform(0, seconds, num_notes))
    return [[float(on), float(on + rng.uniform(0.06, 1.2)), hz(rng.choice(pitches))] for on in onsets]


def transcribed(rng, notes):
    found = []
    for onset, offset, frequency in notes:
        if rng.random() < 0.12:
            continue
        onset = max(0.0, onset + rng.choice([rng.normal(0, 0.03), 0.05, -0.05, 0.0]))
        offset = max(onset + 0.02, offset + rng.choice([rng.normal(0, 0.1), 0.05, 0.0]))
        frequency *= 2 ** (rng.choice([rng.normal(0, 25), 0.0, 1200.0], p=[0.7, 0.2, 0.1]) / 1200)
        found.append([float(onset), float(offset), float(frequency)])
        if rng.random() < 0.1:
            found.append([float(onset + 0.01), float(offset), float(frequency)])
    order = rng.permutation(len(found))
    return [found[place] for place in order]


def scores(reference, estimate):
    reference, estimate = np.array(reference).reshape(-1, 3), np.array(estimate).reshape(-1, 3)
    found = mir_eval.transcription.evaluate(reference[:, :2], reference[:, 2], estimate[:, :2], estimate[:, 2])
    return {name: float(value) for name, value in found.items()}


def cases():
    for number in range(8):
        rng = np.random.default_rng(100 + number)
        if number < 6:
            reference = piece(rng, 40, 12.0, np.arange(48, 84))
        else:
            reference = piece(rng, 40, 1.0, [60, 61])
        yield f"notes_{number}", reference, transcribed(rng, reference)


def main():
    folder = pathlib.Path(sys.argv[1])
    inputs, outputs = {}, {}
    for name, reference, estimate in cases():
        inputs[name] = {"reference": reference, "estimate": estimate}
        outputs[name] = scores(reference, estimate)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inputs.json").write_text(json.dumps(inputs) + "\n")
    outputs = {"scores": outputs, "mir_eval_version": mir_eval.__version__}
    (folder / "outputs.json").write_text(json.dumps(outputs, indent=1) + "\n")


if __name__ == "__main__":
    main()
