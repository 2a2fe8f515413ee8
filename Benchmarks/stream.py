#!/usr/bin/env python3
"""A stream of text read by one session: does memory, speed or the state change on the way?

    python3 Benchmarks/stream.py [--model MODEL] [--tokens 1000000] [--threads N] [--output FILE.json]

Feeds the demonstration text, again and again, to `moult generate --stream` through a pipe, and looks at the process each time it has read
1000 tokens more. Fails when its memory at the end, the median of ten looks, is more than 2 MB above that at the beginning, when the last
tenth is read more than 10% slower than the first, or when the state cannot be saved, loaded and continued: a value that is not finite would end that.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXECUTABLE = os.environ.get("MOULT", ROOT / ".build" / "release" / "moult")
STEP = 1000


def memory(process):
    """Bytes of memory of its own (RssAnon) and all that is resident (VmRSS), with the model's pages that the system has not dropped."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return [int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "VmRSS")]


def read(model, text, tokens, state, environment):
    """(position, seconds, bytes of its own, resident bytes) every STEP tokens."""
    command = [EXECUTABLE, "generate", model, "--stream", "--every", STEP, "--max-tokens", 1, "--save-state", state]
    process = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    enough = threading.Event()

    def feed():
        while not enough.is_set():
            for start in range(0, len(text), 1 << 14):
                if enough.is_set():
                    break
                process.stdin.write(text[start:start + (1 << 14)])
        process.stdin.close()

    threading.Thread(target=feed, daemon=True).start()
    marks, start = [], time.perf_counter()
    for line in process.stdout:
        if not line.startswith("["):
            continue
        position = int(line[1:line.index("]")])
        if not enough.is_set():
            marks.append((position, time.perf_counter() - start, *memory(process.pid)))
        if position >= tokens:
            enough.set()
        if position % 100_000 == 0:
            print(f"{position} tokens, {position / marks[-1][1]:.0f} tok/s, {marks[-1][2] / 1e6:.1f} MB", flush=True)
    if process.wait():
        raise SystemExit(f"moult failed with status {process.returncode}")
    return marks


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=ROOT / ".demo" / "student-q4")
    parser.add_argument("--text", type=Path, default=ROOT / ".data" / "encyclopedia.txt")
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    environment = os.environ | {"MOULT_THREADS": str(arguments.threads)}
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "stream.state"
        marks = read(arguments.model, arguments.text.read_text(), arguments.tokens, state, environment)
        size = state.stat().st_size
        command = [EXECUTABLE, "generate", arguments.model, "--load-state", state, "--max-tokens", 20, "--json"]
        reply = json.loads(subprocess.run([*map(str, command)], stdout=subprocess.PIPE, check=True, env=environment).stdout)
    tenth = len(marks) // 10
    first = marks[tenth][0] / marks[tenth][1]
    last = (marks[-1][0] - marks[-1 - tenth][0]) / (marks[-1][1] - marks[-1 - tenth][1])
    looks = min(10, len(marks))
    growth = statistics.median(mark[2] for mark in marks[-looks:]) - statistics.median(mark[2] for mark in marks[:looks])
    print(f"\n{marks[-1][0]} tokens in {marks[-1][1]:.0f} s; first tenth {first:.0f} tok/s, last tenth {last:.0f} tok/s")
    for wanted in (STEP, 131_000, marks[-1][0]):
        position, _, own, all = min(marks, key=lambda mark: abs(mark[0] - wanted))
        print(f"memory after {position} tokens: {own / 1e6:.1f} MB of its own, {all / 1e6:.1f} MB resident")
    print(f"memory at the end less that at the beginning: {growth / 1e6:+.2f} MB")
    print(f"state file {size / 1e6:.2f} MB; it goes on: {reply['text']!r}")
    if arguments.output:
        arguments.output.write_text(json.dumps({"marks": marks, "state_bytes": size}) + "\n")
    if growth > 2e6 or last < 0.9 * first or reply["tokens"] < 1:
        sys.exit(f"memory grew by {growth / 1e6:.1f} MB, speed went to {last / first:.2f} of what it was")


if __name__ == "__main__":
    main()
