"""Output that cannot be written: closed, full, a reader that leaves, with and without SIGPIPE."""

import signal

from campaign import Campaign, Finding
from writers import PROMPT, contents

# What becomes of standard output and standard error; whether output is lost, and whether errors can be read.
WAYS = {
    "full standard output": ('exec "$0" "$@" >/dev/full', True, True),
    "closed standard output": ('exec "$0" "$@" >&-', True, True),
    "full standard error": ('exec "$0" "$@" 2>/dev/full', False, False),
    "closed standard error": ('exec "$0" "$@" 2>&-', False, False),
    "both closed": ('exec "$0" "$@" >&- 2>&-', True, False),
    "both full": ('exec "$0" "$@" >/dev/full 2>/dev/full', True, False),
    "no standard input": ('exec "$0" "$@" <&-', False, True),
    "nothing open": ('exec "$0" "$@" <&- >&- 2>&-', True, False),
    "a reader that leaves": ('set -o pipefail; "$0" "$@" | true', True, True),
    "a reader that leaves, SIGPIPE ignored": ('trap "" PIPE; set -o pipefail; "$0" "$@" | true', True, True),
    "a reader of one byte": ('trap "" PIPE; set -o pipefail; "$0" "$@" | head -c 1 >/dev/null', True, True),
}


class Outputs(Campaign):
    name = "outputs"
    share = 1.5

    def prepare(self):
        inputs = self.inputs
        run = inputs.folder / "outputs-run"
        inputs.must(*inputs.train(run))
        generate = ["generate", inputs.student, *PROMPT]
        self.state = inputs.state
        lines = b"The fox jumps over the dog.\n" * 40
        # (name, arguments, standard input, the state that has to be saved)
        self.commands = [
            ("inspect", ["inspect", inputs.student, "--tensors"], b"", None),
            ("inspect --json", ["inspect", inputs.student, "--json"], b"", None),
            ("convert", ["convert", inputs.teacher, "--output", "output", "--slots", 4], b"", None),
            ("convert --dry-run", ["convert", inputs.teacher, "--dry-run"], b"", None),
            ("quantize", ["quantize", inputs.wide, "--output", "output", "--bits", 8], b"", None),
            ("generate", [*generate, "--save-state", "output.moult-state"], b"", "output.moult-state"),
            ("generate --json", [*generate, "--json", "--save-state", "output.moult-state"], b"", "output.moult-state"),
            ("generate --stream", ["generate", inputs.student, "--stream", "--every", 50, "--max-tokens", 3, "--save-state",
                                   "output.moult-state"], lines, "output.moult-state"),
            ("generate --prompts", ["generate", inputs.student, "--prompts", inputs.prompts, "--max-tokens", 3], b"", None),
            ("chat", ["chat", inputs.student, "--seed", 0, "--max-tokens", 3], b"Hello\nAnd then?\n/stats\n", None),
            ("perplexity", ["perplexity", inputs.student, "--data", inputs.validation, "--by-position"], b"", None),
            ("evaluate", ["evaluate", inputs.student, "--tasks", "lambada", "--data", inputs.questions, "--limit", 1], b"",
             None),
            ("report", ["report", run, "--output", "output.html"], b"", None),
            ("train", inputs.train("output"), b"", None),
            ("bench", ["bench", inputs.student, "--prefill", 8, "--decode", 4, "--depth", 4, "--repeats", 1], b"", None),
            ("help", ["help", "generate"], b"", None),
            ("an error", ["inspect", "no-such-model"], b"", None),
            ("debug-tokens", ["debug-tokens", inputs.student, "--data", inputs.validation], b"", None),
        ]
        self.whole = {}
        for name, arguments, text, _ in self.commands:
            if "--output" in arguments:
                folder = inputs.folder / f"outputs-{name}"
                folder.mkdir()
                self.programs.run(arguments, folder, text=text)
                self.whole[name] = contents(folder / arguments[arguments.index("--output") + 1])
        self.cases = len(self.commands) * len(WAYS)

    def case(self, number, chance, folder):
        name, arguments, text, state = self.commands[number // len(WAYS)]
        way, (script, loses, tells) = list(WAYS.items())[number % len(WAYS)]
        subject = f"{name}, {way}"
        outcome, found = self.judge(
            arguments, folder, subject, text=text, wrapper=["bash", "-c", script], one_line=False)
        left = outcome.code in (128 + signal.SIGPIPE, -signal.SIGPIPE)
        if left and "ignored" not in way:
            found = [finding for finding in found if finding.kind != "trap"]  # What a reader that leaves asks for.
        if "--output" in arguments:
            # A file that takes the place of a closed descriptor must not get what was printed.
            target = arguments[arguments.index("--output") + 1]
            if contents(folder / target) not in (None, self.whole[name]) and name != "train":
                found.append(Finding("silent", f"another {target}", subject, outcome))
        if found or "reader" in way:
            return found + self.saved(state, folder, subject, outcome, way)
        if name == "chat" and way == "nothing open":
            loses = False  # Nobody says anything, and nothing is answered.
        if loses and outcome.code == 0 and name not in ("an error", "help"):
            found.append(Finding("failure", "exit code 0, and nobody can have read the output", subject, outcome))
        elif loses and tells and b"Error" not in outcome.errors and name != "help":
            found.append(Finding("failure", f"no error: {outcome.last_words()}", subject, outcome))
        return found + self.saved(state, folder, subject, outcome, way)

    def saved(self, state, folder, subject, outcome, way):
        """The state is saved whatever becomes of the text, and can be read."""
        if state is None or way == "nothing open" or "--stream" in outcome.arguments and way == "no standard input":
            return []  # There is none: nothing was read.
        if not (folder / state).exists():
            return [Finding("failure", "the state is lost", subject, outcome)]
        load = ["generate", self.inputs.student, "--load-state", state, "--max-tokens", 1]
        return self.judge(load, folder, subject, may_fail=False)[1]
