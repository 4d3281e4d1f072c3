#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["note-seq==0.0.5", "pretty_midi"]
# ///
"""The golden case `midi-notes`: random MIDI files, and their notes as note_seq has them, with the sustain pedal applied.

Run by hand, never by a test:

    python tools/reference/note_seq_midi.py fixtures/golden/midi-notes

Each file has one track of a piano: notes that overlap, keys that are struck twice and released once, pedals of all values,
changes of tempo, and many events at the same tick. Times are in a small number of ticks, so that ties are frequent; but of
pedal events there is one a tick, because note_seq sorts them and does not keep the file's order. Every pitch is released
at last, because pretty_midi drops what is not.
"""
import json
import pathlib
import random
import struct
import sys

from note_seq import midi_io, sequences_lib

NUM_CASES = 12
TICKS_PER_QUARTER = 96


def variable_length(number):
    out = [number & 0x7F]
    while number := number >> 7:
        out.append(number & 0x7F | 0x80)
    return bytes(reversed(out))


def midi_file(dice):
    events = []
    for _ in range(60):
        start = dice.randrange(0, 1200, dice.choice([1, 12]))
        pitch = dice.choice([60, 62, 64, 65])
        events.append((start, 3, bytes([0x90, pitch, dice.randrange(1, 128)])))
        if dice.random() < 0.85:
            end = start + dice.randrange(1, 200, dice.choice([1, 12]))
            off = bytes([0x80, pitch, 64]) if dice.random() < 0.5 else bytes([0x90, pitch, 0])
            events.append((end, 1, off))
        if dice.random() < 0.1:
            # Another key, released at the tick at which it is struck: pretty_midi drops such a note.
            events += [(start, 3, bytes([0x90, 72, 64])), (start, 4, bytes([0x80, 72, 64]))]
    pedals = {dice.randrange(0, 1300, dice.choice([1, 12])) for _ in range(dice.choice([0, 12, 40]))}
    for tick in sorted(pedals):
        events.append((tick, 2, bytes([0xB0, 64, dice.choice([0, 0, 63, 64, 127, dice.randrange(128)])])))
    for _ in range(4):
        microseconds = dice.randrange(200_000, 1_500_000)
        events.append((dice.randrange(0, 1200, 12), 0, b"\xff\x51\x03" + struct.pack(">I", microseconds)[1:]))
    events += [(1500, 1, bytes([0x80, pitch, 64])) for pitch in [60, 62, 64, 65]]
    events.sort(key=lambda event: event[:2])
    track, before = b"", 0
    for tick, _, message in events:
        track += variable_length(tick - before) + message
        before = tick
    track += variable_length(30) + b"\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS_PER_QUARTER)
    return header + b"MTrk" + struct.pack(">I", len(track)) + track


def main(folder):
    inputs, outputs = {}, {}
    for case in range(NUM_CASES):
        data = midi_file(random.Random(case))
        sequence = sequences_lib.apply_sustain_control_changes(midi_io.midi_to_note_sequence(data))
        notes = sorted([note.start_time, note.pitch, note.end_time] for note in sequence.notes)
        inputs[f"case_{case}"] = data.hex()
        outputs[f"case_{case}"] = [[onset, offset, pitch] for onset, pitch, offset in notes]
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in [("inputs.json", inputs), ("outputs.json", outputs)]:
        (folder / name).write_text(json.dumps(values, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
