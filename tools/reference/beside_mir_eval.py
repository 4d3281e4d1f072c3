#!/usr/bin/env python3
"""Beats, onsets, tempi and keys scored by mir_eval and by solfa-eval, over thousands of random cases.

    ~/.cache/solfa-peers/bin/python tools/reference/beside_mir_eval.py --cases 4000

Needs mir_eval 0.8.2 and numpy. Makes cases of many kinds (perfect, jittered, other metric levels, gaps, doubled and equal
beats, one beat, none, times on a grid of frames, where distances fall on the edges of windows), writes them with mir_eval's
scores to a temporary file, one JSON object a line, and runs

    cargo run --release -p solfa-eval --example compare_with_mir_eval -- FILE

which prints the largest difference of every score. Where mir_eval raises, the line says `"error": true`, and ours must be
an error too; where it gives NaN, the score is left out.
"""
import argparse
import json
import math
import subprocess
import tempfile
import warnings

import mir_eval
import numpy


def beats_of(random):
    kind = random.integers(12)
    if kind == 0:
        return numpy.sort(random.uniform(0, 40, random.integers(0, 4)))
    count = int(random.integers(2, 80))
    period = 60 / random.uniform(50, 220)
    if kind == 1:
        return numpy.sort(random.uniform(-2, 40, count))
    beats = random.uniform(0, 8) + numpy.cumsum(period * (1 + random.normal(0, random.choice([0, 0.01, 0.1]), count)))
    beats = numpy.sort(beats)
    if kind == 2:
        return numpy.round(beats, 1)
    if kind == 3:
        return numpy.sort(numpy.concatenate([beats, random.choice(beats, 3)]))
    return beats


def estimate_of(random, beats):
    kind = random.integers(10)
    if kind == 0 or len(beats) < 2:
        return beats_of(random)
    if kind == 1:
        return beats.copy()
    if kind == 2:
        beats = beats[random.integers(2)::2]
    elif kind == 3:
        beats = numpy.sort(numpy.concatenate([beats, (beats[1:] + beats[:-1]) / 2]))
    elif kind == 4:
        beats = (beats[1:] + beats[:-1]) / 2
    elif kind == 5:
        beats = beats[random.random(len(beats)) > 0.2]
    elif kind == 6:
        cut = random.integers(len(beats))
        beats = numpy.concatenate([beats[:cut], beats[cut:] + random.uniform(0, 0.5)])
    jitter = random.choice([0, 0.005, 0.02, 0.06])
    return numpy.sort(beats + random.normal(0, 1, len(beats)) * jitter + random.choice([0, 0, 0.01, 0.07]))


def on_frames(random, *lists):
    if random.random() < 0.3:
        rate = random.choice([10, 25, 50, 100])
        return [numpy.round(times * rate) / rate for times in lists]
    return lists


def scored(function, *arguments):
    try:
        scores = function(*arguments)
    except (ValueError, IndexError):
        return {"error": True}
    return {"scores": {name: float(value) for name, value in scores.items() if not math.isnan(value)}}


def case(random):
    kind = random.choice(["beat", "beat", "beat", "onset", "tempo", "key"])
    if kind in ("beat", "onset"):
        reference = beats_of(random)
        reference, estimate = on_frames(random, reference, estimate_of(random, reference))
        if random.random() < 0.01 and len(reference) > 2:
            reference = reference[::-1].copy()
        module = getattr(mir_eval, kind)
        return {"kind": str(kind), "reference": reference.tolist(), "estimate": estimate.tolist(),
                **scored(module.evaluate, reference, estimate)}
    if kind == "tempo":
        reference = numpy.round(random.uniform(40, 220, 2), random.integers(3)) * random.choice([0, 1, 1, 1], 2)
        estimate = reference * random.choice([1, 1, 0.92, 1.08, 1.05, 2, 0.5, 0, -1], 2, p=[.2, .15, .1, .1, .1, .1, .1, .1, .05])
        weight = float(random.choice([0, 0.3, 0.5, 1, 1.2], p=[.2, .3, .2, .25, .05]))
        return {"kind": "tempo", "reference": reference.tolist(), "estimate": estimate.tolist(), "weight": weight,
                **scored(mir_eval.tempo.evaluate, reference, weight, estimate)}
    names = [f"{tonic} {mode}" for tonic in mir_eval.key.KEY_TO_SEMITONE if tonic != "x"
             for mode in ("major", "minor", "other")] + ["X", "x"]
    reference, estimate = str(random.choice(names)), str(random.choice(names))
    return {"kind": "key", "reference": reference, "estimate": estimate,
            **scored(mir_eval.key.evaluate, reference, estimate)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    numpy.seterr(all="ignore")
    random = numpy.random.default_rng(options.seed)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for _ in range(options.cases):
            print(json.dumps(case(random)), file=file)
        file.flush()
        subprocess.run(["cargo", "run", "--release", "-q", "-p", "solfa-eval", "--example", "compare_with_mir_eval", "--",
                        file.name], check=True)


if __name__ == "__main__":
    main()
