"""Decode speed of Python transformers on a checkpoint folder, f32, two threads, greedy, no stop.

    python benches/peers/transformers_decode.py FOLDER [BATCH ...]

The same shape of work as `cargo bench --bench decode -- FOLDER`: 128-token prompts, 32 new tokens,
best of three. Needs torch and transformers.
"""

import sys
import time

import torch
from transformers import AutoModelForCausalLM

torch.set_num_threads(2)
folder, batches = sys.argv[1], [int(arg) for arg in sys.argv[2:]] or [1, 8, 32]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
prompt = torch.tensor([(row * 37 + 11) % 1000 for row in range(128)])


@torch.inference_mode()
def measure(batch):
    out = model(prompt.repeat(batch, 1), use_cache=True, logits_to_keep=1)
    token, cache = out.logits[:, -1].argmax(-1, keepdim=True), out.past_key_values
    started = time.perf_counter()
    for _ in range(31):
        out = model(token, past_key_values=cache, use_cache=True)
        token, cache = out.logits[:, -1].argmax(-1, keepdim=True), out.past_key_values
    return batch * 31 / (time.perf_counter() - started)


for batch in batches:
    best = max(measure(batch) for _ in range(3))
    print(f"transformers, f32: decode at batch {batch}: {best:.1f} tok/s")
