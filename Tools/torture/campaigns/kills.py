"""kill -9 at random moments of every command that writes."""

import os
import signal
import subprocess
import threading
import time

from campaign import Campaign, Finding
from writers import Undisturbed, contents, leftovers, writers


class Kills(Campaign):
    name = "kills"
    share = 2

    def prepare(self):
        self.writers = writers(self.inputs)
        self.undisturbed = Undisturbed(self, self.writers)

    def case(self, number, chance, folder):
        writer = self.writers[number % len(self.writers)]
        writer.start(folder)
        child = self.programs.start(
            writer.command, folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        feeder = None
        if writer.text:
            feeder = threading.Thread(target=feed, args=(child, writer.text))
            feeder.start()
        else:
            child.stdin.close()
        # Most of the time is the start of a process; what is written is written at the end.
        limit = self.undisturbed.seconds[writer.name]
        time.sleep(chance.uniform(0, 1.1 * limit))
        try:
            os.kill(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        if feeder:
            feeder.join()
        return self.after(writer, folder)

    def after(self, writer, folder):
        """What has to be so after the kill, and after the next run."""
        found = self.undisturbed.allows(writer, folder)
        if writer.name == "stream" and (folder / writer.output).exists():
            load = ["generate", self.inputs.student, "--load-state", writer.output, "--max-tokens", 1]
            return found + self.judge(load, folder, writer.name, may_fail=False)[1]
        was_whole = contents(folder / writer.output) == self.undisturbed.results[writer.name]
        if not was_whole:
            outcome, more = self.judge(writer.command, folder, writer.name, text=writer.text, may_fail=False, limit=20)
            found += more
            if not more and contents(folder / writer.output) != self.undisturbed.results[writer.name]:
                found.append(Finding("silent", "the next run writes something else", writer.name, outcome))
            if b"warning" in outcome.errors and writer.name != "chat, /save":
                found.append(Finding("failure", f"after a kill: {outcome.last_words()}", writer.name, outcome))
            left = leftovers(folder)
            if left:
                found.append(Finding("failure", f"left after the next run: {', '.join(left[:4])}", writer.name, outcome))
        return found


def feed(child, text):
    """Gives the text in pieces, as it would arrive."""
    try:
        for begin in range(0, len(text), 512):
            child.stdin.write(text[begin:begin + 512])
            child.stdin.flush()
        child.stdin.close()
    except OSError:
        pass
