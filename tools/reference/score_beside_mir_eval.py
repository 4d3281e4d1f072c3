#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["mir_eval==0.8.2", "numpy"]
# ///
"""The largest difference of `solfa score` to mir_eval, over random files of chords, segments, melodies and notes.

Run by hand, never by a test:

    python tools/reference/score_beside_mir_eval.py target/release/solfa --cases 2000

Both read the same files, so the readers are compared too. Cases have gaps, estimates that are longer, shorter and later
than the reference, boundaries on the grid of samples, chords of every quality with degrees and inversions, melodies on
other times, and clusters of notes that can be paired in many ways. Cases that mir_eval refuses are counted apart.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import tempfile
import warnings

import mir_eval
import numpy as np

QUALITIES = ("maj min dim aug maj7 min7 7 dim7 hdim7 minmaj7 maj6 min6 9 maj9 min9 11 min11 13 maj13 min13 sus2 sus4 1 5"
             ).split()
ROOTS = [letter + accidental for letter in "ABCDEFG" for accidental in ("", "#", "b", "bb")]


def degree(rng):
    return rng.choice(["", "", "", "b", "#"]) + str(rng.integers(1, 14))


def chord(rng):
    kind = rng.random()
    if kind < 0.12:
        return rng.choice(["N", "N", "X"])
    label = rng.choice(ROOTS)
    if kind < 0.2:
        return label
    if kind < 0.25:
        return f"{label}:({','.join(sorted({degree(rng) for _ in range(3)}))})"
    label += ":" + rng.choice(QUALITIES if kind > 0.6 else ["maj", "min"])
    if rng.random() < 0.15:
        degrees = {degree(rng) for _ in range(rng.integers(1, 3))}
        label += "(" + ",".join(rng.choice(["", "*"]) + name for name in sorted(degrees)) + ")"
    if rng.random() < 0.25:
        label += "/" + rng.choice(["3", "5", "b7", "2", "9", "b3", "7"])
    return label


def spans(rng, num, seconds, start, step=None):
    """Boundaries, rounded to `step` where it is given, and intervals between them with a few gaps."""
    times = np.unique(np.round(np.sort(rng.uniform(0, seconds, num)), 6))
    if step:
        times = np.unique(np.round(times / step) * step)
    times = np.concatenate([[start], times[times > start + 0.01]])
    if len(times) < 2:
        times = np.array([start, start + seconds])
    pairs = list(zip(times[:-1], times[1:]))
    return [pair for place, pair in enumerate(pairs) if place in (0, len(pairs) - 1) or rng.random() > 0.03]


def write(path, rows):
    path.write_text("".join("\t".join(str(cell) for cell in row) + "\n" for row in rows))


def chord_case(rng):
    seconds = rng.uniform(5, 60)
    reference = [[start, end, chord(rng)] for start, end in spans(rng, rng.integers(2, 40), seconds, 0.0)]
    if rng.random() < 0.5:
        estimate = [[start, end, label if rng.random() < 0.6 else chord(rng)] for start, end, label in reference]
    else:
        first = rng.choice([0.0, 0.5])
        estimate = [[start, end, chord(rng)]
                    for start, end in spans(rng, rng.integers(2, 40), seconds * rng.uniform(0.7, 1.3), first)]
    if rng.random() < 0.3:
        estimate = [[start, end, rng.choice(reference)[2]] for start, end, _ in estimate]
    return reference, estimate


def segment_case(rng):
    seconds, step = rng.uniform(20, 240), rng.choice([None, 0.1, 0.05, 0.5])
    names = np.array(["verse", "Verse", "chorus", "intro", "outro", "bridge part"])[: rng.integers(1, 7)]
    label = lambda: rng.choice(names)
    reference = [[start, end, label()] for start, end in spans(rng, rng.integers(1, 25), seconds, 0.0, step)]
    first = rng.choice([0.0, 0.0, 0.4])
    estimate = [[start, end, label()]
                for start, end in spans(rng, rng.integers(1, 25), seconds * rng.uniform(0.8, 1.2), first, step)]
    return reference, estimate


def melody_case(rng):
    hop = rng.choice([0.01, 0.0058, 0.1])
    num = rng.integers(2, 400)
    times = np.round(np.arange(num) * hop + rng.choice([0.0, hop, 0.3]), 7)
    hz = 220 * 2 ** rng.uniform(-1, 1, num) * (rng.random(num) > 0.2)
    if rng.random() < 0.5:
        other_times = times
    else:
        other = rng.choice([0.01, 0.0029, 0.013])
        other_times = np.round(np.arange(rng.integers(2, 600)) * other + rng.choice([0.0, other]), 7)
    near = np.interp(other_times, times, hz)
    other_hz = near * 2 ** (rng.normal(0, 40, len(near)) / 1200) * rng.choice([1, 1, 2, -1, 0], len(near))
    return list(zip(times, hz)), list(zip(other_times, other_hz))


def notes_case(rng):
    num, seconds = rng.integers(1, 80), rng.choice([0.5, 2.0, 20.0])
    pitches = rng.choice([1, 3, 24])
    reference = []
    for _ in range(num):
        onset = round(rng.uniform(0, seconds), rng.choice([2, 6]))
        reference.append([onset, onset + rng.uniform(0.05, 1.0), 440 * 2 ** (rng.integers(0, pitches) / 12)])
    estimate = []
    for onset, offset, hz in reference:
        if rng.random() < 0.85:
            onset = max(0.0, onset + rng.choice([0.0, 0.05, -0.05, rng.normal(0, 0.04)]))
            estimate.append([onset, max(onset + 0.01, offset + rng.normal(0, 0.08)), hz * 2 ** (rng.normal(0, 25) / 1200)])
    rng.shuffle(estimate)
    return reference, estimate


def their_scores(kind, reference, estimate):
    load = mir_eval.io
    reference, estimate = str(reference), str(estimate)
    if kind == "melody":
        return mir_eval.melody.evaluate(*load.load_time_series(reference), *load.load_time_series(estimate))
    if kind == "notes":
        return mir_eval.transcription.evaluate(*load.load_valued_intervals(reference), *load.load_valued_intervals(estimate))
    module = getattr(mir_eval, kind)
    return module.evaluate(*load.load_labeled_intervals(reference), *load.load_labeled_intervals(estimate))


def compare(kind, make, solfa, num_cases, folder):
    rng = np.random.default_rng(5)
    references, estimates = folder / kind / "references", folder / kind / "estimates"
    references.mkdir(parents=True)
    estimates.mkdir()
    for number in range(num_cases):
        reference, estimate = make(rng)
        write(references / f"{number:06}.txt", reference)
        write(estimates / f"{number:06}.txt", estimate)
    run = subprocess.run([solfa, "score", kind, references, estimates, "--json"], stdout=subprocess.PIPE, text=True)
    files = json.loads(run.stdout)["files"]
    counts, largest = collections.Counter(), (0.0, None)
    for file in files:
        name = file["name"] + ".txt"
        try:
            expected = their_scores(kind, references / name, estimates / name)
        except Exception as error:
            counts["refused by mir_eval" + (" and by us" if "error" in file else " only")] += 1
            counts[f"  for {str(error)[:70]}"] += 1
            continue
        if "error" in file:
            counts["refused by us only"] += 1
            print(file["error"])
            continue
        assert list(file["scores"]) == list(expected), "names and their order"
        if not all(np.isfinite(value) for value in expected.values()):
            counts["without a number in mir_eval"] += 1
            continue
        counts["compared"] += 1
        for score, value in expected.items():
            difference = abs(file["scores"][score] - value)
            if difference > 1e-9:
                counts[f"  above 1e-9: {score}"] += 1
                if counts[f"  above 1e-9: {score}"] <= 3:
                    print(f"{kind} {name}: {score}: {file['scores'][score]} instead of {value}")
            largest = max(largest, (difference, f"{score} of {name}"), key=lambda pair: pair[0])
    print(f"{kind}: largest difference {largest[0]:.1e} ({largest[1]}); {dict(counts)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("solfa")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    makers = {"chord": chord_case, "segment": segment_case, "melody": melody_case, "notes": notes_case}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        for kind, make in makers.items():
            compare(kind, make, arguments.solfa, arguments.cases, folder)


if __name__ == "__main__":
    main()
