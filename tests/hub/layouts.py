"""Writes layouts.jsonl: repositories, and which files `datasets` takes for which split.

    pip install datasets==5.2.0
    python tests/hub/layouts.py > tests/hub/layouts.jsonl

Names and cards are drawn with a fixed seed, so the same version of `datasets` writes the same file.
A test in src/hub/data_set holds our reading against it.
"""

import json
import os
import random
import tempfile

import yaml
from datasets import load_dataset_builder
from datasets.utils import logging

logging.set_verbosity_error()
os.environ["HF_HUB_OFFLINE"] = "1"

WORDS = ["train", "training", "test", "eval", "dev", "val", "validation", "extra", "part", "contest"]
ENDS = ["jsonl", "jsonl", "json", "csv", "parquet"]
ROW = {"jsonl": '{"a": 1}\n', "json": '{"a": 1}\n', "csv": "a\n1\n", "parquet": None}


def a_name(dice, end):
    word = dice.choice(WORDS)
    shape = dice.randrange(8)
    if shape == 0:
        return f"data/{word}-00000-of-00001.{end}"
    if shape == 1:
        return f"{word}/{dice.choice('abc')}.{end}"
    if shape == 2:
        return f"{dice.choice(['my', 'v1'])}-{word}_{dice.randrange(3)}.{end}"
    if shape == 3:
        return f"data/{word}-v2/{dice.choice('abc')}.{end}"
    if shape == 4:
        return f"{word}.{end}"
    if shape == 5:
        return f"data/{word}_{dice.randrange(3)}.{end}"
    if shape == 6:
        return f"{dice.choice('abc')}.{end}"
    return f".hidden/{word}.{end}"


def a_card(dice, names):
    if dice.random() < 0.5:
        return None
    configs = []
    for name in dice.sample(["default", "easy", "hard"], dice.randrange(1, 3)):
        config = {"config_name": name}
        kind = dice.randrange(4)
        if kind == 0:
            config["data_files"] = dice.choice(names)
        elif kind == 1:
            config["data_files"] = [{"split": "train", "path": "**/*" + dice.choice(["a", "t", "_"]) + "*"}]
        elif kind == 2:
            config["data_files"] = [
                {"split": "train", "path": dice.choice(names)},
                {"split": "held_out", "path": ["data/*", dice.choice(names)]},
            ]
        else:
            config["data_dir"] = "data"
        configs.append(config)
    if dice.random() < 0.3 and all(config["config_name"] != "default" for config in configs):
        configs[-1]["default"] = True
    return "---\n" + yaml.safe_dump({"configs": configs}, sort_keys=False) + "---\n"


def resolved(folder, card):
    """Config -> split -> files, or None where `datasets` finds nothing it can load."""
    asked = [None]
    if card:
        asked = [c["config_name"] for c in yaml.safe_load(card.split("---")[1])["configs"]]
    found = {}
    for name in asked:
        try:
            builder = load_dataset_builder(folder, name)
        except Exception:
            return None
        files = builder.config.data_files or {}
        found[name or "default"] = {
            str(split): [os.path.relpath(str(path), folder) for path in paths] for split, paths in files.items()
        }
    return found


def main():
    dice = random.Random(7)
    n_written = 0
    while n_written < 120:
        end = dice.choice(ENDS)
        names = sorted({a_name(dice, end) for _ in range(dice.randrange(1, 7))})
        card = a_card(dice, names)
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                path = os.path.join(folder, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(ROW[end] or "")
            if card:
                with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as file:
                    file.write(card)
            configs = resolved(folder, card)
        all_names = (["README.md"] if card else []) + names
        print(json.dumps({"names": all_names, "card": card or "", "configs": configs}))
        n_written += 1


if __name__ == "__main__":
    main()
