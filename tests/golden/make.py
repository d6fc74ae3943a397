"""Writes the golden checkpoints beside this file and what `transformers` computes from them.

Run it by hand, in an environment with torch and transformers, when a golden checkpoint is added:

    python tests/golden/make.py

Each folder holds a small random model in the real formats and `expected.json`: prompts as token
ids, the float32 logits of every row of the first prompt and of the last row of the others, and
greedy continuations with the gap between the two likeliest tokens at each step. The Rust side
(models/tests/golden.rs) reads these and never calls Python.
"""

import json
import pathlib
import shutil

import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, MixtralConfig

HERE = pathlib.Path(__file__).parent
VOCAB = 96
COMMON = dict(
    vocab_size=VOCAB,
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
)
MODELS = {
    "llama": (
        LlamaConfig(**COMMON, intermediate_size=112, max_position_embeddings=256, head_dim=12),
        torch.float32,
        "1GB",
    ),
    # Scaling begins to act well inside the prompts; heads are wider than hidden_size / heads.
    "llama3-rope": (
        LlamaConfig(
            **COMMON,
            intermediate_size=112,
            max_position_embeddings=256,
            head_dim=16,
            tie_word_embeddings=True,
            rope_parameters=dict(
                rope_type="llama3",
                rope_theta=500.0,
                factor=4.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=32,
            ),
        ),
        torch.bfloat16,
        "60KB",
    ),
    "mistral-window": (
        MistralConfig(
            **COMMON,
            intermediate_size=112,
            max_position_embeddings=256,
            sliding_window=12,
            head_dim=12,
        ),
        torch.float16,
        "1GB",
    ),
    "mixtral": (
        MixtralConfig(
            **COMMON,
            intermediate_size=64,
            max_position_embeddings=256,
            num_local_experts=4,
            num_experts_per_tok=2,
            head_dim=12,
            sliding_window=None,
        ),
        torch.bfloat16,
        "1GB",
    ),
}
PROMPT_LENGTHS = [40, 1, 7, 70]
GREEDY = 24


def fill(model, seed):
    """Weights large enough that every part of the model shows in the logits."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = torch.randn(weight.shape, generator=noise)
            if "norm" in name:
                weight.copy_(1 + 0.2 * values)
            elif "embed_tokens" in name or "lm_head" in name:
                weight.copy_(0.4 * values)
            else:
                weight.copy_(1.5 * values / weight.shape[-1] ** 0.5)


def greedy(model, ids):
    """Continues `ids`, with the margin of each choice; every step runs the whole sequence."""
    tokens, margins = [], []
    for _ in range(GREEDY):
        logits = model(torch.tensor([ids + tokens]), use_cache=False).logits[0, -1]
        best = logits.topk(2)
        tokens.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 6))
    return tokens, margins


def expected(model, seed):
    noise = torch.Generator().manual_seed(seed)
    prompts = []
    for i, length in enumerate(PROMPT_LENGTHS):
        ids = torch.randint(3, VOCAB, (length,), generator=noise).tolist()
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        first_row = 0 if i == 0 else length - 1
        tokens, margins = greedy(model, ids)
        prompts.append(
            dict(
                ids=ids,
                first_row=first_row,
                logits=[[round(x, 6) for x in row] for row in logits[first_row:].tolist()],
                greedy=tokens,
                margins=margins,
            )
        )
    return prompts


def main():
    for seed, (name, (config, dtype, shard)) in enumerate(MODELS.items(), start=1):
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        fill(model, seed)
        model.to(dtype).save_pretrained(folder, max_shard_size=shard)
        # What is stored is what counts: half precision is widened, never computed with.
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        with torch.no_grad():
            prompts = expected(model, seed)
        engine = f"transformers {transformers.__version__}, torch {torch.__version__}, float32"
        record = dict(engine=engine, prompts=prompts)
        (folder / "expected.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")
        print(name, sum(p.numel() for p in model.parameters()), "parameters")


if __name__ == "__main__":
    main()
