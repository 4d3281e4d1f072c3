#!/usr/bin/env python3
"""The front end beside librosa and torchaudio: a file to the 128 mel bands of MuQ at 24 kHz, on one core, in one run.

Needs what `beside_pytorch.py` needs. Then:

    cargo build --release -p solfa-signal --example frontend_speed
    ~/.cache/solfa-peers/bin/python tools/bench/frontend_beside_python.py
    ~/.cache/solfa-peers/bin/python tools/bench/frontend_beside_python.py song.mp3 other.flac

Without files, the music of fixtures/audio that is in stereo at 44.1 kHz is repeated to `--seconds` and written as WAV (16
bits), FLAC and MP3. Every program runs in a process of its own that is bound to one core and told to use one thread, in
turn, `--rounds` times; the fastest pass of each stage counts. The stages are decoding with mixing down, resampling to 24
kHz with the library's default quality, and the power mel spectrogram in decibels (2048 samples, hop 240, 128 bands, HTK
scale). `all` is the whole way, in which Solfa works window by window. librosa and torchaudio decode with libsndfile
(`librosa.load`; `soundfile.read`, because torchaudio 2.11 itself decodes nothing any more).
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

SAMPLE_RATE = 24_000
FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures/audio"
PROGRAMS = ("solfa", "librosa", "torchaudio")
STAGES = ("decode", "resample", "mel", "all")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA", "RAYON")}


def make_songs(folder, seconds):
    import numpy
    import soundfile

    parts = [soundfile.read(FIXTURES / name, dtype="float32") for name in ("hungarian_dance.mp3", "compus.flac")]
    assert all(rate == 44_100 and samples.shape[1] == 2 for samples, rate in parts)
    music = numpy.concatenate([samples for samples, _ in parts])
    count = int(seconds * 44_100)
    music = numpy.tile(music, (count // len(music) + 1, 1))[:count]
    songs = [folder / f"song.{extension}" for extension in ("wav", "flac", "mp3")]
    for song in songs:
        soundfile.write(song, music, 44_100)
    return songs


def stages_of(library):
    """Three functions: of a path, of mono samples with their rate, and of samples at 24 kHz."""
    if library == "librosa":
        import librosa

        def mel(samples):
            power = librosa.feature.melspectrogram(
                y=samples, sr=SAMPLE_RATE, n_fft=2048, hop_length=240, n_mels=128, htk=True, norm=None)
            return librosa.power_to_db(power, top_db=None)

        return (
            lambda path: librosa.load(path, sr=None, mono=True),
            lambda samples, rate: librosa.resample(samples, orig_sr=rate, target_sr=SAMPLE_RATE),
            mel,
        )
    import soundfile
    import torch
    import torchaudio

    torch.set_num_threads(1)
    to_mel = torch.nn.Sequential(
        torchaudio.transforms.MelSpectrogram(SAMPLE_RATE, n_fft=2048, hop_length=240, n_mels=128),
        torchaudio.transforms.AmplitudeToDB())
    resamplers = {}

    def decode(path):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return torch.from_numpy(samples).mean(1), rate

    def resample(samples, rate):
        if rate not in resamplers:
            resamplers[rate] = torchaudio.transforms.Resample(rate, SAMPLE_RATE)
        return resamplers[rate](samples)

    return decode, resample, to_mel


def run_library(library, path, passes):
    """Runs in a process of its own and prints a JSON object."""
    decode, resample, mel = stages_of(library)
    best = dict.fromkeys(STAGES, float("inf"))
    for _ in range(passes + 1):
        marks = [time.perf_counter()]
        samples, rate = decode(path)
        marks.append(time.perf_counter())
        resampled = resample(samples, rate)
        marks.append(time.perf_counter())
        frames = mel(resampled)
        marks.append(time.perf_counter())
        assert frames.shape[0] == 128
        times = [after - before for before, after in zip(marks, marks[1:])] + [marks[-1] - marks[0]]
        best = {stage: min(best[stage], seconds) for stage, seconds in zip(STAGES, times)}
    print(json.dumps(best))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", nargs="*", type=pathlib.Path, help="audio files [default: made from the fixtures]")
    parser.add_argument("--seconds", type=float, default=180.0, help="length of the songs that are made")
    parser.add_argument("--passes", type=int, default=3, help="passes of a process; one more warms librosa and torchaudio up")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each program for each song")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core that is used")
    parser.add_argument("--solfa", default="target/release/examples/frontend_speed", help="the example's binary")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--library", choices=PROGRAMS[1:], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.library:
        return run_library(arguments.library, arguments.songs[0], arguments.passes)

    def run(program, song):
        command = [arguments.solfa, str(song), str(arguments.passes)] if program == "solfa" else [
            sys.executable, __file__, "--library", program, "--passes", str(arguments.passes), str(song)]
        output = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD},
            preexec_fn=lambda: os.sched_setaffinity(0, {arguments.core})).stdout
        return json.loads(output.splitlines()[-1])

    results = {}
    with tempfile.TemporaryDirectory() as folder:
        songs = arguments.songs or make_songs(pathlib.Path(folder), arguments.seconds)
        for song in songs:
            best = {program: dict.fromkeys(STAGES, float("inf")) for program in PROGRAMS}
            for _ in range(arguments.rounds):
                for program in PROGRAMS:
                    found = run(program, song)
                    best[program] = {stage: min(best[program][stage], found[stage]) for stage in STAGES}
            ratios = {program: {stage: best[program][stage] / best["solfa"][stage] for stage in STAGES}
                      for program in PROGRAMS[1:]}
            results[song.name] = {"seconds": best, "solfa_is_as_fast_times": ratios}
            if not arguments.json:
                print(song.name)
                for program in PROGRAMS:
                    cells = (f"{stage} {1e3 * best[program][stage]:7.1f} ms"
                             + (f" ({ratios[program][stage]:4.1f})" if program in ratios else "") for stage in STAGES)
                    print(f"  {program:10}  {'   '.join(cells)}", flush=True)
    if arguments.json:
        print(json.dumps(results))


main()
