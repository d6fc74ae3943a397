"""Python transformers on a GPU: its continuous batching, and static batches through `generate`.

    python benches/peers/transformers_gpu.py FOLDER OUT.jsonl SECONDS JOB...

A JOB is PROMPT+OUTPUT*REQUESTS@BATCH, as `stillroom bench --job` reads it: the same weights, the
same numbers of tokens, greedy, no stop. One JSON line a job and way, appended as it ends; a way
that fails says so in its line. Ends by itself after SECONDS. Needs torch and transformers.
"""

import json
import re
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM, GenerationConfig

folder, out, seconds, *jobs = sys.argv[1:]
deadline = time.monotonic() + float(seconds)
# Not by `device_map`, which wants accelerate.
model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to("cuda").eval()
vocabulary = model.config.vocab_size


def prompts(n_prompt, n_requests):
    """Rows of random ids, no two alike."""
    torch.manual_seed(7)
    return torch.randint(3, vocabulary, (n_requests, n_prompt))


def static(ids, n_output, batch):
    """Batch after batch, each until its last token."""
    n_made, started = 0, time.monotonic()
    for rows in ids.split(batch):
        made = model.generate(
            rows.cuda(), attention_mask=torch.ones_like(rows).cuda(),
            max_new_tokens=n_output, min_new_tokens=n_output, do_sample=False, pad_token_id=0,
        )
        n_made += made.numel() - rows.numel()
    torch.cuda.synchronize()
    return n_made, time.monotonic() - started


def continuous(ids, n_output, batch):
    """Its scheduler with a paged cache, which decides by itself how many run at a time."""
    config = GenerationConfig(max_new_tokens=n_output, do_sample=False, eos_token_id=-1, pad_token_id=0)
    made = model.generate_batch(inputs=ids.tolist(), generation_config=config)
    spans = [request.lifespan for request in made.values()]
    # Without the making of its cache and graphs, which a long job would not notice.
    n_made = sum(len(request.generated_tokens) for request in made.values())
    return n_made, max(end for _, end in spans) - min(start for start, _ in spans)


def run(way, job):
    n_prompt, n_output, n_requests, batch = map(int, re.split(r"[+*@]", job))
    line = {"peer": f"transformers {transformers.__version__}", "way": way.__name__, "job": job}
    try:
        ids = prompts(n_prompt, n_requests)
        way(ids[: min(batch, 4)], 4, batch)
        n_made, wall = way(ids, n_output, batch)
        line |= {"wall_s": wall, "output_tokens_per_s": n_made / wall, "output_tokens": n_made}
    except Exception as error:  # a peer that fails is a result, not an end
        line["error"] = f"{type(error).__name__}: {error}"[:300]
    with open(out, "a") as file:
        print(json.dumps(line), file=file)
    print(line, flush=True)
    torch.cuda.empty_cache()


# Not inference mode, which is a thread's own: continuous batching runs in one of its own.
with torch.no_grad():
    for job in jobs:
        for way in (continuous, static):
            if time.monotonic() < deadline:
                run(way, job)
