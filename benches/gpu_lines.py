"""The results of benches/gpu.sh: lines of JSON in, lines of JSON or a short table out.

    gpu_lines.py note KEY=VALUE..      one line
    gpu_lines.py bench NAME REPORT     the lines of `stillroom bench --json`, as far as they came
    gpu_lines.py peers FILE            a peer's own lines
    gpu_lines.py swaps EVENTS          one line: whether each model went before the next came
    gpu_lines.py table FILE            what a person reads, as Markdown
"""

import json
import sys

# What an H200 can do at most for Llama 3 8B in bf16, output tokens per second with the machine
# full: the formula of src/cli/bench/floor.rs, step after step without overlap, at 4.3 TB/s and
# 790 TFLOP/s, which such a card really reaches. Computed, but for the answers of log-normal
# length, 10,000 of them in 256 places, which were simulated.
ANCHORS = {
    "128+128": 22_800,
    "1000+1000": 11_900,
    "2048+128": 2_600,
    "200+~250": 21_800,
    "600:1350+64": 3_700,
    "1 alone": 285,
}
# The benches of that model, as it is stored.
OF_8B = ("llama-8b", "llama-8b-jobs")


def value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def note(*pairs):
    print(json.dumps({key: value(text) for key, text in (pair.split("=", 1) for pair in pairs)}))


def bench(name, path):
    for line in open(path):
        if line.startswith("{"):
            try:
                print(json.dumps({"bench": name, **json.loads(line)}))
            except ValueError:  # the last line of a bench that was cut
                pass


def peers(path):
    print(open(path).read(), end="")


def swaps(path):
    events = [json.loads(line) for line in open(path)]
    moves = [event["event"] for event in events if event["event"] in ("loaded", "unloaded")]
    tokens = [event["tokens"]["n_output"] for event in events if event["event"] == "used"]
    kept = [event["text"] for event in events
            if event["event"] == "note" and "has not all come back" in event["text"]]
    shown = moves == 3 * ["loaded", "unloaded"] and len(tokens) == 3 and all(tokens) and not kept
    print(json.dumps({"swaps": moves, "output_tokens": tokens, "kept": kept, "shown": shown}))
    sys.exit(not shown)


def share(number):
    return "-" if number is None else f"{100 * number:.0f} %"


def gap(line, prefix=""):
    """Where the device waited for the host between steps, and the host for the device."""
    idle, waiting = line.get(prefix + "idle_share"), line.get(prefix + "wait_share")
    return "-" if idle is None else f"{100 * idle:.1f} % / {100 * waiting:.0f} %"


def job_of(line):
    shared = f"{line['shared']}:" if line.get("shared") else ""
    return f"{shared}{line['prompt']}+{'~' if line.get('spread') else ''}{line['output']}"


def row(*cells):
    print("| " + " | ".join(map(str, cells)) + " |")


def of_anchor(line, name, rate):
    """The share of an H200's anchor, where the line is one of its shapes and such a card's."""
    anchor = ANCHORS.get(name) if line["bench"] in OF_8B and line["on_h200"] else None
    return share(rate / anchor) if anchor else ""


def cell_rows(line):
    shape = f"{line['prompt']}+{line['output']} at {line['batch']}"
    row(line["bench"], f"prefill {shape}", f"{line['prefill_tokens_per_s']:.0f}",
        share(line["prefill_share_of_floor"]), "", "")
    rate = line["decode_tokens_per_s"]
    if rate is not None:
        anchor = of_anchor(line, f"{line['batch']} alone", rate)
        row(line["bench"], f"decode {shape}, {line['decode_step_ms']:.2f} ms a step", f"{rate:.0f}",
            share(line["decode_share_of_floor"]), anchor, gap(line, "decode_"))


def job_row(line):
    rate = line["output_tokens_per_s"]
    row(line["bench"], f"{job_of(line)}*{line['requests']}, {line['batch']} at a time, "
        f"{line['requests_per_s']:.1f} requests/s", f"{rate:.0f}", share(line["share_of_floor"]),
        of_anchor(line, job_of(line), rate), gap(line))


def peer_row(line, ours):
    rate = line.get("output_tokens_per_s")
    mine = ours.get(line["job"].split("@")[0])
    times = f"stillroom {mine / rate:.1f} times" if mine and rate else ""
    row(line["peer"], f"{line['way']} {line['job']}",
        line.get("error", "") if rate is None else f"{rate:.0f}", "", "", times)


def table(path):
    lines = [json.loads(line) for line in open(path)]
    on_h200 = any("H200" in str(line.get("card")) for line in lines)
    ours = {f"{job_of(line)}*{line['requests']}": line["output_tokens_per_s"] for line in lines
            if line.get("kind") == "job" and line["bench"] in OF_8B}
    row("", "", "tok/s", "of the floor", "of the anchor", "device idle / host waits")
    print("|---|---|---|---|---|---|")
    for line in lines:
        line["on_h200"] = on_h200
        if line.get("kind") == "cell":
            cell_rows(line)
        elif line.get("kind") == "job":
            job_row(line)
        elif "peer" in line:
            peer_row(line, ours)
    print("""
The floor is that of the bandwidth and the products which were measured beside it. The anchor is
what an H200 is reckoned to reach at most when it is full throughout (benches/gpu_lines.py), shown
where the card is one and the shape is one of those. The queues here are shorter than that: from a
quarter to four times as many requests as run at a time, so that ramp and tail weigh, and a long
run would show more.
""")
    for line in lines:
        if "stage" in line and line.get("ended") != "done":
            facts = ", ".join(f"{key} {line[key]}" for key in ("seconds", "status") if key in line)
            told = f"WRONG: {line['wrong']}" if "wrong" in line else f"{line['ended']} {facts}".strip()
            print(f"- {line['stage']}: {told}" + (f": {line['why']}" if line.get("why") else ""))
        elif "swaps" in line and not line["shown"]:
            print(f"- swaps: {' '.join(line['swaps'])}; {line['output_tokens']} tokens; "
                  f"memory kept: {line['kept']}")


if __name__ == "__main__":
    commands = {"note": note, "bench": bench, "peers": peers, "swaps": swaps, "table": table}
    commands[sys.argv[1]](*sys.argv[2:])
