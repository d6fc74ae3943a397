"""A pushed data set, met by Python's `datasets`.

Usage: python tests/hub/load.py RUN [REPO]

RUN is the folder of a finished run. Its data set is loaded from the folder and, when REPO is given,
from the Hub that HF_ENDPOINT and HF_TOKEN name; every config and split must have the rows of the
leaf's own file, the features of the card, and both ways the same rows. Prints a line a check and
ends with 1 when one failed. Needs the package `datasets`. To meet a push over the tests' own Hub:
STILLROOM_PYTHON=python cargo test --test hub datasets -- --nocapture
"""

import importlib.metadata
import json
import pathlib
import sys

from datasets import get_dataset_config_names, load_dataset

RUN = pathlib.Path(sys.argv[1])
REPO = sys.argv[2] if len(sys.argv) > 2 else None
failures = []


def check(what, is_good, detail=""):
    print(f"{'good  ' if is_good else 'FAILED'} {what} {detail}".rstrip(), flush=True)
    if not is_good:
        failures.append(what)


def loaded(place):
    configs = {}
    for name in get_dataset_config_names(place):
        splits = load_dataset(place, name)
        configs[name] = {split: rows for split, rows in splits.items()}
    return configs


def same(one, other):
    return one.features == other.features and one.to_list() == other.to_list()


def leaf_rows(name):
    lines = (RUN / "steps" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def main():
    version = importlib.metadata.version
    print(f"datasets {version('datasets')}, huggingface_hub {version('huggingface_hub')}")
    folder = loaded(str(RUN / "dataset"))
    check("the folder has configs", bool(folder), ", ".join(folder))
    plan = json.loads((RUN / "plan.json").read_text(encoding="utf-8"))
    parents = {parent for step in plan["steps"] for parent in step["parents"]}
    leaves = [step["name"] for step in plan["steps"] if step["name"] not in parents]
    names = {"default": leaves[0]} if len(leaves) == 1 else {leaf: leaf for leaf in leaves}
    for config, leaf in names.items():
        rows = [row for split in folder[config].values() for row in split]
        want = leaf_rows(leaf)
        check(f"{config} has the rows of its leaf", len(rows) == len(want), str(len(rows)))
        shared = [key for key in want[0] if all(isinstance(row.get(key), str) for row in (want[0], rows[0]))]
        texts = lambda rows: sorted(json.dumps([row[key] for key in shared]) for row in rows)
        if shared:
            check(f"{config} says what its leaf says", texts(rows) == texts(want), ", ".join(shared))
    if REPO:
        remote = loaded(REPO)
        check("the Hub has the same configs", remote.keys() == folder.keys(), ", ".join(remote))
        for config, splits in folder.items():
            for split, rows in splits.items():
                there = remote[config][split]
                check(f"{config}/{split} is the same there", same(rows, there), str(len(there)))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
