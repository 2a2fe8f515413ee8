"""Every change of a file that a command makes fails once, or is the last before a loss of power: all of them, in turn."""

import errno
import itertools
import random
import shutil
import subprocess
from pathlib import Path

from campaign import Campaign, Finding
from writers import Undisturbed, contents, leftovers, trained, writers

SOURCE = Path(__file__).resolve().parents[1] / "faults.c"
MODES = {"kill": {}, "full disk": {"FAULTS_ERROR": errno.ENOSPC, "FAULTS_ALWAYS": 1}, "error": {"FAULTS_ERROR": errno.EIO}}


class Faults(Campaign):
    name = "faults"
    share = 4

    def prepare(self):
        compiler = shutil.which("clang") or shutil.which("cc")
        if not compiler:
            self.skipped = "there is no C compiler"
            return
        self.library = self.inputs.folder / "faults.so"
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", self.library, SOURCE, "-ldl"], check=True)
        self.writers = writers(self.inputs)
        self.undisturbed = Undisturbed(self, self.writers)
        self.whole = self.inputs.folder / "faults-whole"
        self.inputs.must(*self.inputs.train(self.whole))
        todo = []
        for writer in [*self.writers, None]:
            changes = self.count(writer)
            todo += itertools.product([writer], MODES, range(1, changes + 1))
        random.Random(self.seed).shuffle(todo)
        self.todo, self.cases = todo, len(todo)

    def count(self, writer):
        """How many changes the command makes; training without a writer."""
        folder = self.inputs.folder / "faults-counted"
        folder.mkdir()
        report = self.inputs.folder / "faults-count.txt"
        command = self.inputs.train("run") if writer is None else writer.command
        if writer is not None:
            writer.start(folder)
        self.programs.run(command, folder, text=writer.text if writer else b"", limit=60,
                          environment=self.environment(folder, FAULTS_COUNT=report))
        shutil.rmtree(folder)
        return int(report.read_text())

    def environment(self, folder, **values):
        return {name: str(value) for name, value in
                dict(LD_PRELOAD=self.library, FAULTS_FOLDER=folder.resolve(), **values).items()}

    def case(self, number, chance, folder):
        writer, mode, at = self.todo[number]
        environment = self.environment(folder, FAULTS_AT=at, **MODES[mode])
        if writer is None:
            return self.training(mode, at, folder, environment)
        writer.start(folder)
        subject = f"{writer.name}, {mode}"
        options = dict(text=writer.text, environment=environment)
        if mode == "kill":
            self.programs.run(writer.command, folder, **options)
            found = self.undisturbed.allows(writer, folder)
            return [Finding(f.kind, f"change {at}: {f.words}", subject) for f in found + self.again(writer, folder)]
        outcome, found = self.judge(writer.command, folder, subject, one_line=not writer.lenient, **options)
        found += self.undisturbed.allows(writer, folder)
        whole = contents(folder / writer.output) == self.undisturbed.results[writer.name]
        if not found and outcome.code == 0 and not whole and not writer.lenient:
            found.append(Finding("silent", "exit code 0 and not what was to be written", subject, outcome))
        if mode == "full disk" and leftovers(folder):
            found.append(Finding("failure", f"left behind: {', '.join(leftovers(folder)[:3])}", subject, outcome))
        return [Finding(f.kind, f"change {at}: {f.words}", subject, f.outcome) for f in found]

    def again(self, writer, folder):
        """After a loss of power: the next run makes the whole, and nothing is left of the first."""
        whole = self.undisturbed.results[writer.name]
        if writer.name == "stream" or contents(folder / writer.output) == whole:
            return []
        outcome, found = self.judge(writer.command, folder, writer.name, text=writer.text, may_fail=False)
        if not found and contents(folder / writer.output) != whole:
            found.append(Finding("silent", "the next run writes something else", writer.name, outcome))
        if leftovers(folder):
            found.append(Finding("failure", f"left after the next run: {', '.join(leftovers(folder)[:3])}", writer.name))
        return found

    def training(self, mode, at, folder, environment):
        subject, run = f"train, {mode}", folder / "run"
        outcome, found = self.judge(self.inputs.train("run"), folder, subject, environment=environment, limit=30,
                                    one_line=mode != "kill")
        if mode == "kill":
            found = []
        if outcome.code != 0 or not (run / "student").exists():
            command = self.inputs.train("run")
            if (run / "config.yaml").exists():
                command = ["train", "--resume", "--output", "run"]
            _, more = self.judge(command, folder, subject, may_fail=False, limit=30)
            found += more
        if not found:
            found = [f for f in trained(self.whole, run, subject, outcome) if f.kind == "silent" or mode != "error"]
        return [Finding(f.kind, f"change {at}: {f.words}", subject, f.outcome) for f in found]
