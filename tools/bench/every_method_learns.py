"""Does every method of pre-training learn something? Each shipped tiny configuration is trained on `synth:`, and linear
heads on every layer of it and of the same network untrained are compared on two tasks of composed music.

    cargo build --release
    python3 tools/bench/every_method_learns.py --work /tmp/learns [RECIPE ...]

Prints one line a recipe and task: the best layer of both with 95 % intervals over the test pieces. Nothing is downloaded;
what is there already is not trained again.
"""

import argparse
import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECIPES = [
    "mel-rvq", "muq", "muq-iter", "musicfm", "musichubert", "mert", "music2vec", "vit1d-contrastive",
    "resnet-contrastive", "resnet-byol", "resnet-clustering", "resnet-barlow", "resnet-vicreg", "mulan",
]
SUITE = """models = []

[set]
learning_rates = [1e-3, 1e-2]
max_epochs = 60
stop_patience = 10
seeds = [0]

[[task]]
task = "composed-key"
kind = "key"
data = "suite/key.jsonl"

[[task]]
task = "composed-instruments"
kind = "tags"
data = "suite/instruments.jsonl"
"""


def best(lines, encoder, task):
    """The best layer's value and interval: the mean over seeds is what the program prints."""
    rows = [line for line in lines if line["encoder"] == encoder and line["task"] == task]
    return max(rows, key=lambda row: row["value"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--solfa", type=Path, default=ROOT / "target/release/solfa")
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    work, solfa = arguments.work, str(arguments.solfa.resolve())
    work.mkdir(parents=True, exist_ok=True)
    (work / "suite.toml").write_text(SUITE)

    def run(*command):
        done = subprocess.run([solfa, *command], cwd=work, capture_output=True, text=True)
        if done.returncode not in (0, 3):
            raise SystemExit(f"solfa {' '.join(command)}\n{done.stderr}")
        return done.stdout

    # Another seed than the training's: other pieces.
    run("synth", "suite", "--output", "suite", "--pieces", "400", "--seconds", "10", "--notes", "0", "--seed", "99")
    for recipe in arguments.recipes:
        output = f"runs/{recipe}"
        if not (work / output / "config.toml").exists():
            extra = ["--set", "method.model=runs/muq"] if recipe == "muq-iter" else []
            if recipe == "mulan":
                extra = ["--set", f"method.text_model={ROOT / 'fixtures/golden/mulan-tiny/tiny-xlm-roberta-base'}"]
            extra += ["--steps", str(arguments.steps)] if arguments.steps else []
            data = ["--data", "synth:tracks=400,seconds=20,seed=1"]
            run("pretrain", str(ROOT / f"configs/{recipe}-tiny.toml"), *data, "--output", output, *extra)
        models = ["--model", output, "--model", f"untrained:{output}"]
        lines = run("probe", "--suite", "suite.toml", *models, "--output", f"results/{recipe}", "--cache", f"cache/{recipe}", "--json")
        lines = [json.loads(line) for line in lines.splitlines()]
        for task in ["composed-key", "composed-instruments"]:
            both = [best(lines, name, task) for name in (recipe, f"untrained:{output}")]
            shown = [f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}] layer {row['layer']}" for row in both]
            print(f"{recipe:20} {both[0]['metric']:20} trained {shown[0]:34} untrained {shown[1]}", flush=True)


if __name__ == "__main__":
    main()
