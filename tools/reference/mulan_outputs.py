# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.*", "torchaudio", "transformers==4.46.3", "muq==0.1.0", "safetensors==0.8.*", "x_clip==0.14.4"]
# ///
"""What the package `muq` computes from a saved MuQ-MuLan: writes `outputs_as_saved.safetensors` into the folder of a golden case that
holds a checkpoint, `inputs.safetensors` and `texts.json`.

    python tools/reference/mulan_outputs.py fixtures/golden/mulan-tiny

needs torch, torchaudio, transformers==4.46.3, muq==0.1.0 and safetensors.
"""

import json
import os
import sys

import torch
from muq import MuQMuLan
from safetensors.torch import load_file, save_file


def main(folder):
    # The package finds both towers by name, from the current folder.
    os.chdir(folder)
    model = MuQMuLan.from_pretrained(".").eval()
    texts = json.loads(open("texts.json", encoding="utf-8").read())
    tokens = model.mulan.text.tokenizer(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        wav = load_file("inputs.safetensors")["wav"]
        audio_latents = model(wavs=wav)
        # Less than half a clip of 2 s: the package repeats it once.
        short_audio_latents = model(wavs=wav[:, :14_400])
        text_latents = model(texts=texts)
    outputs = {
        "audio_latents": audio_latents,
        "short_audio_latents": short_audio_latents,
        "text_latents": text_latents,
        "similarity": model.calc_similarity(audio_latents, text_latents),
        "input_ids": tokens["input_ids"],
        "attention_mask": tokens["attention_mask"],
    }
    save_file({name: values.contiguous() for name, values in outputs.items()}, "outputs_as_saved.safetensors")


if __name__ == "__main__":
    main(sys.argv[1])
