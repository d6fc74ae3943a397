"""The results of benches/gpu.sh: lines of JSON in, lines of JSON or a short table out.

    gpu_lines.py note KEY=VALUE..      one line
    gpu_lines.py bench NAME REPORT     the lines of `stillroom bench --json`, as far as they came
    gpu_lines.py peers FILE            a peer's own lines
    gpu_lines.py swaps EVENTS          one line: whether each model went before the next came
    gpu_lines.py table FILE            what a person reads, as Markdown
"""

import json
import sys


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
    return f"{line['prompt']}+{'~' if line.get('spread') else ''}{line['output']}*{line['requests']}"


def table(path):
    lines = [json.loads(line) for line in open(path)]
    ours = {job_of(line): line["output_tokens_per_s"] for line in lines
            if line.get("kind") == "job" and line["bench"] == "llama-8b"}
    print("| | | tok/s | of the floor | device idle / host waits |\n|---|---|---|---|---|")
    for line in lines:
        if line.get("kind") == "cell":
            shape = f"{line['prompt']}+{line['output']} at {line['batch']}"
            print(f"| {line['bench']} | prefill {shape} | {line['prefill_tokens_per_s']:.0f} "
                  f"| {share(line['prefill_share_of_floor'])} | |")
            if line["decode_tokens_per_s"] is not None:
                print(f"| {line['bench']} | decode {shape}, {line['decode_step_ms']:.2f} ms a step "
                      f"| {line['decode_tokens_per_s']:.0f} | {share(line['decode_share_of_floor'])} "
                      f"| {gap(line, 'decode_')} |")
        elif line.get("kind") == "job":
            shape = f"{job_of(line)}, {line['batch']} at a time"
            print(f"| {line['bench']} | {shape}, {line['requests_per_s']:.1f} requests/s "
                  f"| {line['output_tokens_per_s']:.0f} | {share(line['share_of_floor'])} "
                  f"| {gap(line)} |")
        elif "peer" in line:
            rate = line.get("output_tokens_per_s")
            shown = line.get("error", "") if rate is None else f"{rate:.0f}"
            mine = ours.get(line["job"].split("@")[0])
            times = f"stillroom {mine / rate:.1f} times" if mine and rate else ""
            print(f"| {line['peer']} | {line['way']} {line['job']} | {shown} | | {times} |")
    print()
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
