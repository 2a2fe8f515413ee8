"""Campaigns that damage one file of a folder and run a command on it."""

import dataclasses
import shutil
from pathlib import Path

import mutations
from campaign import Campaign, Finding


@dataclasses.dataclass
class Subject:
    """A file to damage and the command that reads it."""

    name: str
    source: Path        # copied as `input` into the case's folder
    file: str           # damaged: a path within `source`, or "" when that is a file
    command: list       # run in the case's folder
    mutators: list = dataclasses.field(default_factory=lambda: mutations.BLIND)
    text: bytes = b""   # on standard input
    weight: float = 1.0
    # Files of the case's folder that have to be what they are without damage; "-" is standard output. Only where
    # checksums cover the damaged file.
    covered: tuple = ()
    # Puts the checksums right over damage: (the case's folder, the damaged file); then nothing is covered.
    mend: object = None
    one_line: bool = True
    may_fail: bool = True


class MutationCampaign(Campaign):
    """Damages a subject's file, by chance, in every case."""

    def subjects(self):
        raise NotImplementedError

    def prepare(self):
        self.all = self.subjects()
        self.weights = [subject.weight for subject in self.all]
        self.expected = {}
        for subject in self.all:
            if self.short and not subject.covered:
                continue
            folder = self.inputs.folder / f"{self.name}-{subject.name}".replace("/", "-")
            self._copy(subject, folder)
            outcome = self.programs.run(subject.command, folder, text=subject.text, limit=60)
            if outcome.code != 0 or outcome.problems(60):
                raise SystemExit(f"{self.name}: {subject.name} fails undamaged: {outcome.last_words()}")
            self.expected[subject.name] = self._results(subject, folder, outcome)
            shutil.rmtree(folder)

    def case(self, number, chance, folder):
        subject = chance.choices(self.all, self.weights)[0]
        target = self._copy(subject, folder)
        file = target / subject.file if subject.file else target
        mended = subject.mend is not None and chance.random() < 0.6
        file.write_bytes(mutations.apply(chance, subject.mutators, file.read_bytes()))
        if mended:
            subject.mend(target, file)
        outcome, found = self.judge(
            subject.command, folder, subject.name, text=subject.text, one_line=subject.one_line,
            may_fail=subject.may_fail or mended)
        if not found and outcome.code == 0 and not mended and subject.covered:
            results = self._results(subject, folder, outcome)
            found = [Finding("silent", f"exit code 0 and another {name}", subject.name, outcome)
                     for name in subject.covered if results[name] != self.expected[subject.name][name]]
        return found

    @staticmethod
    def _copy(subject, folder):
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / ("input" + ("".join(subject.source.suffixes) if subject.source.is_file() else ""))
        if subject.source.is_file():
            shutil.copyfile(subject.source, target)
        else:
            shutil.copytree(subject.source, target)
        return target

    @staticmethod
    def _results(subject, folder, outcome):
        def contents(name):
            if name == "-":
                return outcome.output
            path = folder / name
            return path.read_bytes() if path.is_file() else None

        return {name: contents(name) for name in subject.covered}
