"""Exports, met by the trainers they are for.

Usage: python tests/trainers/check.py STILLROOM RUN MODEL

STILLROOM is the binary, RUN the folder of a finished run, MODEL a small model's folder with a
tokenizer and a chat template (a run of `tiny:llama` leaves one in the cache). Each format is
exported anew; TRL's are trained on for one step, the others go through the trainer's own loader.
Prints a line a check and ends with 1 when one failed. What is not installed is said and passed
over. Needs torch, datasets and trl; llamafactory where there is one.
"""

import importlib.metadata
import json
import pathlib
import subprocess
import sys
import tempfile
import types

STILLROOM, RUN, MODEL = sys.argv[1:4]
OUT = pathlib.Path(tempfile.mkdtemp(prefix="stillroom-trainers-"))
failures = []


def export(name):
    folder = OUT / name
    command = [STILLROOM, "export", RUN, "--format", name, "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def say(line):
    print(line, flush=True)


def check(what, package, test):
    if version(package) is None:
        say(f"passed over  {what}: {package} is not installed")
        return
    try:
        say(f"good         {what}: {test()} ({package} {version(package)})")
    except Exception as error:
        failures.append(what)
        say(f"FAILED       {what}: {type(error).__name__}: {error} ({package} {version(package)})")


def rows_of(folder):
    from datasets import load_dataset

    return load_dataset(str(folder), split="train")


def one_step(name, trainer_name, task):
    """One step of one of TRL's trainers on an export, on the CPU."""
    import torch
    import transformers
    import trl

    rows = rows_of(export(name))
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    kind = getattr(transformers, f"AutoModelFor{task}")
    extra = {"num_labels": 1} if task == "SequenceClassification" else {}
    model = kind.from_pretrained(MODEL, dtype=torch.float32, **extra)
    model.config.pad_token_id = tokenizer.pad_token_id
    config = getattr(trl, f"{trainer_name}Config")(
        output_dir=str(OUT / f"{name}-{trainer_name}"), max_steps=1, use_cpu=True, bf16=False,
        per_device_train_batch_size=2, gradient_checkpointing=False, report_to=[],
        save_strategy="no", logging_steps=1, disable_tqdm=True, max_length=512,
    )
    trainer = getattr(trl, f"{trainer_name}Trainer")(
        model=model, args=config, train_dataset=rows, processing_class=tokenizer
    )
    n_rows = len(trainer.train_dataset)
    assert n_rows == len(rows), f"{len(rows)} rows went in, {n_rows} are left to train on"
    before = [parameter.detach().clone() for parameter in model.parameters()]
    loss = trainer.train().training_loss
    assert loss == loss and loss > 0, f"the loss is {loss}"
    moved = any(not torch.equal(a, b) for a, b in zip(before, model.parameters()))
    assert moved, "no weight has changed"
    return f"{n_rows} rows, one step, loss {loss:.4f}"


def llama_factory():
    """LLaMA-Factory's own loader: the entry is found, every row aligned as a pair."""
    import os

    os.environ["DISABLE_VERSION_CHECK"] = "1"
    # It is imported for sounds, of which there are none here, and fits few builds of torch.
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    from llamafactory.data.loader import get_dataset
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    folder = export("llama-factory")
    (name,) = json.loads((folder / "dataset_info.json").read_text())
    model, data, training, _, _ = get_train_args({
        "stage": "dpo", "do_train": True, "model_name_or_path": MODEL, "dataset_dir": str(folder),
        "dataset": name, "template": "llama3", "output_dir": str(OUT / "lf"), "cutoff_len": 512,
        "finetuning_type": "full", "use_cpu": True, "report_to": "none",
        "overwrite_cache": True,
    })
    tokenizer = load_tokenizer(model)["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, data)
    rows = get_dataset(template, model, data, training, stage="rm", tokenizer=tokenizer)
    rows = rows["train_dataset"]
    written = (folder / "train.jsonl").read_text().splitlines()
    assert len(rows) == len(written), f"{len(written)} lines, but {len(rows)} rows"
    for row in rows:
        assert row["chosen_input_ids"] != row["rejected_input_ids"], "a pair of equal sides"
    return f"{len(rows)} rows, tokenised as pairs"


def openrlhf():
    """What OpenRLHF does with a row before it tokenises it."""
    from datasets import load_dataset
    from openrlhf.datasets.reward_dataset import preprocess_data
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    file = str(export("openrlhf") / "train.jsonl")
    rows = load_dataset("json", data_files=file, split="train")
    for row in rows:
        prompt, chosen, rejected, margin = preprocess_data(
            row, None, "prompt", "chosen", "rejected", tokenizer.apply_chat_template, True
        )
        assert row["prompt"][-1]["content"].strip() in prompt
        assert row["chosen"][0]["content"].strip() in chosen and chosen != rejected
        assert margin > 0
    return f"{len(rows)} rows, rendered"


def axolotl():
    """What Axolotl makes of a row with `chat_template.default`."""
    from axolotl.prompt_strategies.dpo.chat_template import default
    from axolotl.utils.dict import DictDefault
    from datasets import load_dataset
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    file = str(export("axolotl") / "train.jsonl")
    rows = load_dataset("json", data_files=file, split="train")
    config = DictDefault({"chat_template": "tokenizer_default", "datasets": [{}]})
    transform, _ = default(config)
    for row in rows:
        made = transform(row, tokenizer=tokenizer)
        assert row["messages"][-1]["content"].strip() in made["prompt"]
        assert row["chosen"]["content"].strip() in made["chosen"]
        assert made["chosen"] != made["rejected"]
    return f"{len(rows)} rows, rendered"


def loads(name):
    rows = rows_of(export(name))
    return f"{len(rows)} rows, columns {', '.join(rows.column_names[:4])}, ..."


check("trl, DPOTrainer", "trl", lambda: one_step("trl", "DPO", "CausalLM"))
check("trl, RewardTrainer", "trl", lambda: one_step("trl", "Reward", "SequenceClassification"))
check("trl-implicit, RewardTrainer", "trl",
      lambda: one_step("trl-implicit", "Reward", "SequenceClassification"))
check("trl-kto, KTOTrainer", "trl", lambda: one_step("trl-kto", "KTO", "CausalLM"))
check("distilabel", "datasets", lambda: loads("distilabel"))
check("jsonl", "datasets", lambda: loads("jsonl"))
check("nemo-rl", "datasets", lambda: loads("nemo-rl"))
check("llama-factory", "llamafactory", llama_factory)
check("openrlhf", "openrlhf", openrlhf)
check("axolotl", "axolotl", axolotl)
sys.exit(1 if failures else 0)
