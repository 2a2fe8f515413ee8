"""Numbers and other texts on the command line, for every option of every command that `moult help` shows."""

import re

from campaign import Campaign
from writers import PROMPT

VALUES = ["0", "-1", "1", "2147483648", "9223372036854775807", "-9223372036854775808", "18446744073709551616", "1e308",
          "-1e308", "nan", "inf", "-inf", "", "text", "1.5", "0x10", "１", " 1", "1,", "1,9223372036854775807", "0,-1", "1=2",
          "=", "1=nan", "99999=1", "../../x", "a" * 5000, "\u001b[31m", "é\u0301"]
# What may take as long as it is asked to: these get a small value of their own.
QUIET = {"generate": ["--stop", "e"], "chat": ["--stop", "e"]}


class Numbers(Campaign):
    name = "numbers"
    share = 2

    def prepare(self):
        inputs = self.inputs
        run = inputs.folder / "numbers-run"
        inputs.must(*inputs.train(run))
        # Each command with the least work: arguments, standard input.
        self.base = {
            "inspect": ["inspect", inputs.student],
            "convert": ["convert", inputs.teacher, "--output", "output"],
            "train": ["train", inputs.student, "--teacher", inputs.teacher, "--data", inputs.text, "--stages", "align=64",
                      "--length", "16", "--output", "output"],
            "report": ["report", run, "--output", "output.html"],
            "perplexity": ["perplexity", inputs.student, "--data", inputs.validation, "--window", "16", "--limit", "1"],
            "evaluate": ["evaluate", inputs.student, "--tasks", "recall", "--length", "256", "--limit", "1"],
            "quantize": ["quantize", inputs.wide, "--output", "output", "--bits", "8", "--calibration", inputs.validation,
                         "--calibration-tokens", "32"],
            "generate": ["generate", inputs.student, *map(str, PROMPT)],
            "chat": ["chat", inputs.student, "--max-tokens", "2"],
            "bench": ["bench", inputs.student, "--prefill", "4", "--decode", "2", "--depth", "4", "--batch", "1", "--repeats",
                      "1"],
        }
        self.todo = []
        for command in self.base:
            text = self.programs.run(["help", command], inputs.folder).output.decode()
            for option in sorted(set(re.findall(r"(--[a-z-]+) <", text))):
                self.todo += [(command, option, value) for value in VALUES]
        self.cases = len(self.todo)

    def case(self, number, chance, folder):
        # A stride that reaches everything soon, whatever the time.
        command, option, value = self.todo[number * 7919 % len(self.todo)]
        arguments = [str(argument) for argument in self.base[command]]
        if option in arguments:
            place = arguments.index(option)
            del arguments[place:place + 2]
        if option in ("--prompt-file", "--prompts", "--load-state"):
            arguments = [a for a in arguments if a not in PROMPT[:2]]
        arguments += [*QUIET.get(command, []), f"{option}={value}"]
        # What is asked to take for ever has to end when asked to.
        wrapper = ["timeout", "--signal=INT", "--kill-after=8", "4"]
        outcome, found = self.judge(arguments, folder, f"{command} {option}={value[:30]!r}", limit=20, wrapper=wrapper,
                                    text=b"Hello\n")
        if outcome.code in (124, 130):
            found = [finding for finding in found if finding.kind != "failure"]
        elif outcome.code in (137, -9) and not outcome.stopped:
            for finding in found:
                finding.kind, finding.words = "hang", "not ended 8 s after SIGINT"
        return found
