"""The commands that write, and what has to be so whatever stops them."""

import dataclasses
import os
import re
from pathlib import Path

from campaign import Finding

PROMPT = ["--prompt", "The fox jumps over the dog and", "--max-tokens", 3]


@dataclasses.dataclass
class Writer:
    """A command that is run in a folder and writes `output` there."""

    name: str
    command: list
    output: str
    # Copied to `output` before: what was there.
    before: Path = None
    text: bytes = b""
    # Whether exit code 0 may come without the file: errors of a conversation are told and it goes on.
    lenient: bool = False

    def start(self, folder):
        """Puts what was there before into `folder`."""
        if self.before is not None:
            (folder / self.output).write_bytes(self.before.read_bytes())


def writers(inputs):
    """Every command that writes, but training."""
    run, other, old = inputs.folder / "reported", inputs.folder / "reported-before", inputs.folder / "old.html"
    if not run.exists():
        inputs.must(*inputs.train(run))
        inputs.must(*inputs.train(other, extra=["--seed", 1]))
        inputs.must("report", other, "--output", old)
    convert = ["convert", inputs.teacher, "--output", "output", "--slots", 4, "--window", 4]
    return [
        Writer("convert", convert, "output"),
        Writer("quantize", ["quantize", inputs.wide, "--output", "output", "--bits", 8], "output"),
        Writer("quantize, calibrated", ["quantize", inputs.wide, "--output", "output", "--bits", 4, "--calibration",
                                        inputs.validation, "--calibration-tokens", 64], "output"),
        Writer("save-state, new", ["generate", inputs.student, *PROMPT, "--save-state", "output.moult-state"],
               "output.moult-state"),
        Writer("save-state, same session", ["generate", inputs.student, "--load-state", "output.moult-state", *PROMPT,
                                            "--save-state", "output.moult-state"], "output.moult-state", inputs.state),
        Writer("chat, /save", ["chat", inputs.student, "--seed", 0, "--max-tokens", 3], "output.moult-state",
               text=b"Hello\nAnd then?\n/save output.moult-state\n", lenient=True),
        Writer("stream", ["generate", inputs.student, "--stream", "--max-tokens", 0, "--save-state",
                          "output.moult-state"], "output.moult-state", text=b"The fox jumps over the dog.\n" * 400),
        Writer("report", ["report", run, "--output", "output.html"], "output.html", old),
        Writer("prompt cache", ["generate", inputs.student, *PROMPT, "--prompt-cache", "output"], "output", lenient=True),
    ]


def contents(path):
    """Every file below `path`, by its name; None when there is nothing. What only begins with a dot is left out."""
    if not os.path.lexists(path):
        return None
    if not path.is_dir():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*"))
            if file.is_file() and not file.name.startswith(".") and not file.name.endswith(".lock")}


def leftovers(folder):
    """Names of what is half-written, or was stepped aside, without what is random in them."""
    found = [str(path.relative_to(folder)) for path in folder.rglob("*")
             if path.name.endswith((".previous", ".tmp")) or ".partial" in path.name]
    return sorted({re.sub(r"[0-9A-F]{8}-[0-9A-F-]{27}|-?\d+", "…", name) for name in found})


def trained(whole, run, subject, outcome=None):
    """Findings unless `run` has the models of the undisturbed run `whole`, and nothing half-written."""
    found = []
    for name in ["student", "best"]:
        if contents(whole / name) != contents(run / name):
            found.append(Finding("silent", f"{name}/ is not that of an undisturbed run", subject, outcome))
    if leftovers(run):
        found.append(Finding("failure", f"left at the end: {', '.join(leftovers(run)[:3])}", subject, outcome))
    return found


class Undisturbed:
    """What each writer writes when nothing disturbs it."""

    def __init__(self, campaign, writers):
        self.results, self.seconds, self.outputs = {}, {}, {}
        for writer in writers:
            folder = campaign.inputs.folder / f"{campaign.name}-{writer.name}".replace("/", "").replace(" ", "-")
            folder.mkdir()
            writer.start(folder)
            outcome = campaign.programs.run(writer.command, folder, text=writer.text, limit=60)
            if outcome.code != 0:
                raise SystemExit(f"{campaign.name}: {writer.name} fails undisturbed: {outcome.last_words()}")
            self.results[writer.name] = contents(folder / writer.output)
            self.seconds[writer.name] = outcome.seconds
            self.outputs[writer.name] = outcome.output
            if self.results[writer.name] is None:
                raise SystemExit(f"{campaign.name}: {writer.name} writes nothing")

    def allows(self, writer, folder):
        """Findings unless what is there now is nothing, what was there before, or the whole."""
        found = contents(folder / writer.output)
        whole = self.results[writer.name]
        if found is None and writer.before is None or found == whole:
            return []
        if writer.before is not None and found == {"": writer.before.read_bytes()}:
            return []
        if writer.name == "prompt cache" and all(whole.get(name) == data for name, data in found.items()):
            return []
        if writer.name == "stream" and found is not None:
            return []  # It may have been saved on the way: the next run reads it.
        return [Finding("failure", f"{writer.output} is neither what was there nor whole", writer.name)]
