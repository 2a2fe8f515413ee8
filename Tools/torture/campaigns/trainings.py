"""Training, killed at random moments and resumed until it is done: the same student and the same metrics, bit for bit."""

import json
import os
import signal
import subprocess
import threading
import time

from campaign import Campaign, Finding
from inputs import SETTINGS
from writers import trained

# Of the metrics, what tells of the machine and not of the run.
TIMES = {"seconds", "tokens_per_second", "time", "peak_memory_bytes", "resumed_from"}


class Trainings(Campaign):
    name = "trainings"
    share = 4
    kills = 0

    def prepare(self):
        self.settings = self.inputs.folder / "trainings.yaml"
        self.settings.write_text(SETTINGS.format(tokens=1600 if self.short else 3200))
        self.whole = self.inputs.folder / "trainings-whole"
        began = time.monotonic()
        self.inputs.must(*self.inputs.train(self.whole, settings=self.settings))
        self.seconds = time.monotonic() - began
        self.metrics = metrics(self.whole)
        self.lock = threading.Lock()

    def case(self, number, chance, folder):
        run, found, kills = folder / "run", [], chance.choice([3, 8, 20])
        while kills > 0:
            arguments = ["train", "--resume", "--output", run]
            if not (run / "config.yaml").exists():
                arguments = self.inputs.train(run, settings=self.settings)
            with open(folder / "errors.txt", "ab") as errors:
                child = self.programs.start(
                    arguments, folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
                try:
                    child.wait(chance.uniform(0, self.seconds))
                    if child.returncode != 0:
                        return [Finding("failure", f"exit code {child.returncode} after a kill: {last(folder)}", "train")]
                    break
                except subprocess.TimeoutExpired:
                    os.kill(child.pid, signal.SIGKILL)
                    child.wait()
                    kills -= 1
                    with self.lock:
                        self.kills += 1
        if not (run / "student").exists():
            arguments = ["train", "--resume", "--output", run]
            if not (run / "config.yaml").exists():
                arguments = self.inputs.train(run, settings=self.settings)
            outcome, more = self.judge(arguments, folder, "train", may_fail=False, limit=60)
            found += more
        if b"damaged" in (folder / "errors.txt").read_bytes():
            found.append(Finding("failure", f"after a kill: {last(folder)}", "train"))
        if found:
            return found
        found = trained(self.whole, run, "train")
        differing = difference(self.metrics, metrics(run))
        if differing:
            found.append(Finding("silent", f"metrics.jsonl: {differing}", "train"))
        return found

    def finish(self):
        print(f"    trainings: {self.kills} kills", flush=True)
        return []


def metrics(run):
    """What was measured, in the order of the file."""
    events = []
    for line in (run / "metrics.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] in ("start", "memory", "end"):
            continue  # One for every start and stop.
        events.append(json.dumps({key: value for key, value in event.items() if key not in TIMES}))
    return events


def difference(expected, found):
    """What is wrong first; an empty text when nothing is."""
    for one, other in zip(expected, found):
        if one != other:
            return f"expected {one[:120]}, found {other[:120]}"
    return "" if len(expected) == len(found) else f"expected {len(expected)} lines, found {len(found)}"


def last(folder):
    lines = (folder / "errors.txt").read_text(errors="replace").strip().split("\n")
    return next((line for line in lines if "Error" in line or "warning" in line), lines[-1])[:200]
