"""Two processes at once on one output: one of them, or both, and never a mixture."""

import threading
import time

from campaign import Campaign, Finding
from writers import PROMPT, Undisturbed, contents, leftovers, trained, writers


class Together(Campaign):
    name = "together"
    share = 1.5
    jobs = 1

    def prepare(self):
        self.writers = writers(self.inputs)
        self.undisturbed = Undisturbed(self, self.writers)
        self.whole = self.inputs.folder / "together-whole"
        self.inputs.must(*self.inputs.train(self.whole))
        self.kinds = [*self.writers, "train", "resume", "token cache", "fork"]

    def case(self, number, chance, folder):
        kind = self.kinds[number % len(self.kinds)]
        if isinstance(kind, str):
            return getattr(self, kind.replace(" ", "_"))(folder, chance)
        kind.start(folder)
        one, other = self.both([kind.command, kind.command], folder, chance, kind.text)
        subject, found = f"{kind.name}, twice", []
        for outcome in (one, other):
            found += [Finding(problem, words, subject, outcome)
                      for problem, words in outcome.problems(one_line=not kind.lenient)]
        result = contents(folder / kind.output)
        # A session that both go on with may be read by the second after the first has saved it.
        chained = kind.name in ("save-state, same session", "stream")
        if not found and not chained and result != self.undisturbed.results[kind.name]:
            found.append(Finding("silent", "another result", subject, one))
        if chained and not found:
            load = ["generate", self.inputs.student, "--load-state", kind.output, "--max-tokens", 1]
            found += self.judge(load, folder, subject, may_fail=False)[1]
        if one.code != 0 and other.code != 0:
            found.append(Finding("failure", f"both fail: {one.last_words()}", subject, one))
        if leftovers(folder):
            found.append(Finding("failure", f"left behind: {', '.join(leftovers(folder)[:3])}", subject, one))
        return found

    def both(self, commands, folder, chance, text=b""):
        """Runs two commands that begin at about the same time."""
        results = [None, None]

        def run(index, delay):
            time.sleep(delay)
            results[index] = self.programs.run(commands[index], folder, text=text, limit=60)

        late = chance.choice([0, 0, chance.uniform(0, 0.05), chance.uniform(0, 0.5)])
        threads = [threading.Thread(target=run, args=(0, 0)), threading.Thread(target=run, args=(1, late))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def train(self, folder, chance):
        one, other = self.both([self.inputs.train("run")] * 2, folder, chance)
        subject = "train, twice"
        found = [Finding(kind, words, subject, outcome) for outcome in (one, other) for kind, words in outcome.problems()]
        if sorted([one.code == 0, other.code == 0]) != [False, True]:
            found.append(Finding("failure", f"exit codes {one.code} and {other.code}: {one.last_words()}", subject, one))
        return found + (trained(self.whole, folder / "run", subject, one) if not found else [])

    def resume(self, folder, chance):
        run = folder / "run"
        child = self.programs.start(self.inputs.train("run"), folder, stdin=-3, stdout=-3, stderr=-3)
        for _ in range(1000):
            if child.poll() is not None or any((run / "checkpoints").glob("step-*")):
                break
            time.sleep(0.005)
        child.kill()
        child.wait()
        one, other = self.both([["train", "--resume", "--output", "run"]] * 2, folder, chance)
        subject = "resume, twice"
        found = [Finding(kind, words, subject, outcome) for outcome in (one, other) for kind, words in outcome.problems()]
        if one.code != 0 and other.code != 0:
            found.append(Finding("failure", f"both fail: {one.last_words()}", subject, one))
        return found + (trained(self.whole, run, subject, one) if not found else [])

    def token_cache(self, folder, chance):
        commands = [self.inputs.train(name, extra=["--cache", "cache"]) for name in ["one", "other"]]
        one, other = self.both(commands, folder, chance)
        subject = "token cache, shared"
        found = [Finding(kind, words, subject, outcome) for outcome in (one, other)
                 for kind, words in outcome.problems(may_fail=False)]
        for name in ["one", "other"]:
            found += trained(self.whole, folder / name, subject, one) if not found else []
        return found

    def fork(self, folder, chance):
        """Two continuations of one saved state."""
        load = ["generate", self.inputs.student, "--load-state", self.inputs.state, *PROMPT]
        one, other = self.both([load, load], folder, chance)
        if one.code != 0 or other.code != 0 or one.output != other.output:
            return [Finding("silent", "two continuations of one state differ", "load-state, twice", one)]
        return []
