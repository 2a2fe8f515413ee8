"""Runs the real program as a child, watches its time and its memory, and says what is wrong with how it ended."""

import dataclasses
import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time

SECONDS, BYTES = 10, 2 << 30
# How a Swift program or the C library ends where nothing was thrown; as a shell reports signals, too.
TRAPS = {128 + number for number in (signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE,
                                     signal.SIGSEGV, signal.SIGSYS)}
WORDS_OF_TRAPS = (b"Fatal error", b"Sanitizer:", b"runtime error:", b"terminate called", b"malloc():", b"free():",
                  b"corrupted ")
# What the argument parser adds to an error, and what is said beside one.
BESIDE = re.compile(rb"(Usage: |  See 'moult|Help: |warning: )")


@dataclasses.dataclass
class Outcome:
    arguments: list
    code: int
    output: bytes
    errors: bytes
    seconds: float
    peak: int
    stopped: str = ""  # "hang" or "memory" when the watchdog ended it

    def problems(self, limit=SECONDS, may_fail=True, one_line=True):
        """(kind, words) of everything that no input may bring about."""
        found = []
        if self.stopped == "hang":
            found.append(("hang", f"not ended after {limit} s"))
        elif self.stopped == "memory" or self.peak > BYTES:
            found.append(("memory", f"{self.peak >> 20} MB"))
        elif self.code < 0 or self.code in TRAPS or any(word in self.errors for word in WORDS_OF_TRAPS):
            found.append(("trap", f"exit code {self.code}: {self.last_words()}"))
        elif self.code != 0 and not may_fail:
            found.append(("failure", f"exit code {self.code}: {self.last_words()}"))
        elif self.code != 0 and one_line:
            lines = [line for line in self.errors.split(b"\n") if line.strip() and not BESIDE.match(line)]
            errors = [line for line in lines if line.startswith(b"Error: ")]
            behind = lines[lines.index(errors[0]) + 1:] if errors else []
            if not errors or behind:
                found.append(("failure", f"exit code {self.code} and not one line: {self.last_words()}"))
        if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]", self.errors):
            found.append(("failure", "control characters on standard error"))
        if any(len(line) > 4096 for line in self.errors.split(b"\n")):
            found.append(("failure", f"a line of {max(map(len, self.errors.split(bytes([10]))))} bytes"))
        return found

    def last_words(self):
        lines = [line for line in self.errors.decode("utf-8", "replace").split("\n") if line.strip()]
        return (lines[0] if lines else "nothing on standard error")[:200]


def overload():
    """By how much everything is slower because others use this machine: our own processes keep 2 cores busy."""
    return max(1.0, os.getloadavg()[0] / max(3, len(os.sched_getaffinity(0)) + 1))


class Programs:
    """Starts children, and ends those that take too long or too much."""

    def __init__(self, executable):
        self.executable = str(executable)
        self._living, self._lock = {}, threading.Lock()
        # A backtrace takes seconds and is wanted only of what is kept.
        self.environment = dict(os.environ, SWIFT_BACKTRACE="enable=no", MOULT_THREADS="1", LC_ALL="C.UTF-8")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self, arguments, folder, **options):
        """A child whose end the caller waits for."""
        environment = dict(self.environment, **options.pop("environment", {}))
        return subprocess.Popen([self.executable, *map(str, arguments)], cwd=folder, env=environment, **options)

    def run(self, arguments, folder, text=b"", limit=SECONDS, environment={}, wrapper=(), stdout=None, stderr=None):
        """Runs to the end. `wrapper` is a command that the program is given to."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            given.write(text)
            given.seek(0)
            began, limit = time.monotonic(), limit * overload()
            child = subprocess.Popen(
                [*wrapper, self.executable, *map(str, arguments)], cwd=folder, stdin=given, stdout=stdout or output,
                stderr=stderr or errors, env=dict(self.environment, **environment), start_new_session=True)
            entry = {"ends": began + limit, "stopped": "", "peak": 0}
            with self._lock:
                self._living[child.pid] = entry
            _, status, usage = os.wait4(child.pid, 0)
            with self._lock:
                del self._living[child.pid]
            child.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            errors.seek(0)
            return Outcome(
                [str(a) for a in arguments], child.returncode, output.read(64 << 20), errors.read(64 << 20),
                time.monotonic() - began, max(_own_peak(usage), entry["peak"]), entry["stopped"])

    def _watch(self):
        page = os.sysconf("SC_PAGE_SIZE")
        while True:
            time.sleep(0.1)
            now = time.monotonic()
            with self._lock:
                for pid, entry in self._living.items():
                    try:
                        with open(f"/proc/{pid}/statm") as file:
                            resident = int(file.read().split()[1]) * page
                    except (OSError, IndexError):
                        continue
                    entry["peak"] = max(entry["peak"], resident)
                    reason = "memory" if resident > BYTES else "hang" if now > entry["ends"] else ""
                    if reason and not entry["stopped"]:
                        entry["stopped"] = reason
                        os.killpg(pid, signal.SIGKILL)


def _own_peak(usage):
    """The most memory that a child held, bytes; 0 where the system's figure is that of this process at the child's start."""
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage.ru_maxrss * 1024 if usage.ru_maxrss > mine else 0
