"""What a campaign is, and what it finds."""

import dataclasses
import random
import shutil
import threading
from pathlib import Path

KINDS = ["trap", "hang", "memory", "silent", "failure"]


@dataclasses.dataclass
class Finding:
    kind: str   # one of KINDS
    words: str  # one line
    subject: str = ""
    outcome: object = None  # of processes.Outcome, when a command shows it


class Campaign:
    """Cases that are numbered: `case(number)` does the same whenever the seed is the same."""

    name = ""
    # Of the time, beside those of the other campaigns.
    share = 1.0
    # Cases side by side.
    jobs = 2
    # Numbers after which there are no more cases; None for as many as there is time for.
    cases = None

    def __init__(self, inputs, programs, seed, short):
        self.inputs, self.programs, self.seed, self.short = inputs, programs, seed, short
        self.skipped = ""
        self._alone = threading.Lock()

    def prepare(self):
        """Makes what the cases start from. Sets `skipped` to the reason when this machine cannot run them."""

    def case(self, number, chance, folder):
        """Runs one case in an empty `folder`. Returns the findings."""
        raise NotImplementedError

    def finish(self):
        """Findings of all cases together."""
        return []

    def run_case(self, number, folder):
        chance = random.Random(f"{self.seed} {self.name} {number}")
        folder.mkdir(parents=True)
        return self.case(number, chance, folder)

    def judge(self, arguments, folder, subject="", expected=None, **options):
        """Runs the program and returns what came of it, and what is wrong with that.

        `expected` is what standard output has to be when the program says that all is well. What looks like a hang has
        to take too long a second time, when nothing of ours runs beside it: others may use this machine."""
        may_fail, one_line = options.pop("may_fail", True), options.pop("one_line", True)
        outcome = self.programs.run(arguments, folder, **options)
        if outcome.stopped == "hang":
            with self._alone:
                outcome = self.programs.run(arguments, folder, **options)
        limit = options.get("limit", 10)
        found = [Finding(kind, words, subject, outcome) for kind, words in outcome.problems(limit, may_fail, one_line)]
        if not found and expected is not None and outcome.code == 0 and outcome.output != expected:
            found.append(Finding("silent", "exit code 0 and another result", subject, outcome))
        return outcome, found


def copy_tree(source, target):
    """A copy of a folder of small files."""
    shutil.copytree(source, target, symlinks=True)
    return Path(target)
