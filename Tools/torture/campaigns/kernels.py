"""The C kernels beside their definitions in float64, on every instruction set of this machine and, emulated, on arm64."""

import subprocess
import time

from campaign import Campaign, Finding
from inputs import ROOT


class Kernels(Campaign):
    name = "kernels"
    share = 0.1
    jobs = 1
    cases = 2

    def prepare(self):
        if self.short:
            self.skipped = "it takes minutes; Tools/kernels/run is run by itself"

    def case(self, number, chance, folder):
        form = ["native", "arm64"][number]
        began = time.monotonic()
        ended = subprocess.run([ROOT / "Tools" / "kernels" / "run", "--thorough", form], capture_output=True, text=True)
        for line in ended.stdout.splitlines():
            if "comparisons" in line:
                print(f"    kernels: {line}, {time.monotonic() - began:.0f} s", flush=True)
        wrong = [line for line in ended.stdout.splitlines() if line.startswith("WRONG")]
        found = [Finding("failure", line, form) for line in wrong]
        if ended.returncode != 0 and not wrong:
            found.append(Finding("failure", f"exit code {ended.returncode}: {ended.stderr[-200:]!r}", form))
        if "skipped" in ended.stderr:
            print(f"    kernels: {ended.stderr.strip()}", flush=True)
        return found
