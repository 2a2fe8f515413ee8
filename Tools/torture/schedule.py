"""Divides the time among campaigns, runs their cases, counts and keeps what they find."""

import itertools
import shlex
import shutil
import subprocess
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

from campaign import KINDS, Finding

# Findings of one kind with the same words and numbers left out, of which the first few are kept.
KEPT = 3


class Schedule:
    def __init__(self, campaigns, place, findings, seed):
        self.campaigns, self.place, self.findings, self.seed = campaigns, place, findings, seed
        self.counts = {campaign.name: Counter() for campaign in campaigns}
        self.seen, self.kept = Counter(), []
        self.lock = threading.Lock()

    def run(self, end):
        for old in self.findings.glob("*/finding.txt"):
            shutil.rmtree(old.parent)
        began = time.monotonic()
        shares = sum(campaign.share for campaign in self.campaigns)
        for campaign in self.campaigns:
            campaign.prepare()
            left = max(0, end - time.monotonic())
            until = time.monotonic() + left * campaign.share / shares
            shares -= campaign.share
            if campaign.skipped:
                self._say(end, f"{campaign.name}: skipped: {campaign.skipped}")
                continue
            self._say(end, f"{campaign.name}: for {max(0, until - time.monotonic()):.0f} s")
            self._run_campaign(campaign, until, end)
            for finding in campaign.finish():
                self._keep(campaign, -1, finding, None)
        return self._table(time.monotonic() - began)

    def run_one(self, campaign, number):
        """One case, whose folder stays."""
        campaign.prepare()
        folder = self.findings / f"{campaign.name}-{number}"
        if (folder / "finding.txt").exists():
            shutil.rmtree(folder)
        found = campaign.run_case(number, folder)
        (folder / "finding.txt").write_text("".join(self._report(campaign, number, one, folder) for one in found))
        for finding in found:
            print(f"{finding.kind}: {finding.subject}: {finding.words}")
            print(self._report(campaign, number, finding, folder))
        print(f"{len(found)} findings; the files are in {folder}")
        return 1 if found else 0

    def _run_campaign(self, campaign, until, end):
        numbers = itertools.count() if campaign.cases is None else iter(range(campaign.cases))
        said = [time.monotonic()]

        def work():
            while time.monotonic() < until:
                with self.lock:
                    number = next(numbers, None)
                if number is None:
                    return
                folder = self.place / f"{campaign.name}-{number}"
                try:
                    found = campaign.run_case(number, folder)
                except Exception:
                    found = [Finding("failure", "the campaign itself failed: " + " ".join(traceback.format_exc().split("\n")[-6:]))]
                with self.lock:
                    self.counts[campaign.name]["cases"] += 1
                for finding in found:
                    self._keep(campaign, number, finding, folder)
                shutil.rmtree(folder, ignore_errors=True)
                with self.lock:
                    if time.monotonic() - said[0] > 15:
                        said[0] = time.monotonic()
                        self._say(end, self._line(campaign))

        workers = [threading.Thread(target=work) for _ in range(campaign.jobs)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self._say(end, self._line(campaign))

    def _line(self, campaign):
        count = self.counts[campaign.name]
        found = ", ".join(f"{count[kind]} {kind}" for kind in KINDS if count[kind])
        return f"{campaign.name}: {count['cases']} cases, {found or 'nothing found'}"

    @staticmethod
    def _say(end, text):
        left = max(0, end - time.monotonic())
        print(f"[{left // 60:3.0f} min {left % 60:2.0f} s left] {text}", flush=True)

    # MARK: What was found

    def _keep(self, campaign, number, finding, folder):
        words = "".join(letter for letter in finding.words if not letter.isdigit())[:120]
        with self.lock:
            self.counts[campaign.name][finding.kind] += 1
            key = (campaign.name, finding.subject, finding.kind, words)
            self.seen[key] += 1
            if self.seen[key] > KEPT:
                return
            target = self.findings / f"{campaign.name}-{number if number >= 0 else 'all'}-{finding.kind}"
            if self.seen[key] == 1:
                self.kept.append((key, target, finding))
                print(f"    {finding.kind}: {campaign.name}:{number}: {finding.subject}: {finding.words}"[:400], flush=True)
        target.mkdir(parents=True, exist_ok=True)
        if folder is not None and folder.exists():
            shutil.copytree(folder, target / "files", symlinks=True, dirs_exist_ok=True)
        (target / "finding.txt").write_text(self._report(campaign, number, finding, folder))

    def _report(self, campaign, number, finding, folder):
        lines = [f"{finding.kind}: {finding.subject}: {finding.words}",
                 f"again: make torture SEED={self.seed} CASE={campaign.name}:{number}"]
        outcome = finding.outcome
        if outcome is not None:
            lines += [f"in files/: moult {shlex.join(outcome.arguments)}",
                      f"exit code {outcome.code}, {outcome.seconds:.1f} s, {outcome.peak >> 20} MB", "standard error:",
                      outcome.errors[:20_000].decode("utf-8", "replace")]
            if finding.kind == "trap" and folder is not None:
                lines += ["again, with a backtrace:", self._backtrace(campaign, outcome, folder)]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _backtrace(campaign, outcome, folder):
        environment = dict(campaign.programs.environment, SWIFT_BACKTRACE="enable=yes,color=no,limit=24,threads=crashed")
        try:
            ended = subprocess.run(
                [campaign.programs.executable, *outcome.arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, timeout=60)
        except subprocess.TimeoutExpired:
            return "none within a minute"
        return ended.stderr[:20_000].decode("utf-8", "replace")

    def _table(self, seconds):
        titles = ["campaign", "cases", "traps", "hangs > 10 s", "> 2 GB", "silent changes", "failures"]
        rows = []
        for campaign in self.campaigns:
            count = self.counts[campaign.name]
            rows.append([campaign.name, "skipped" if campaign.skipped else count["cases"]] + [count[k] for k in KINDS])
        rows.append(["all", sum(c["cases"] for c in self.counts.values())]
                    + [sum(c[kind] for c in self.counts.values()) for kind in KINDS])
        widths = [max(len(str(row[column])) for row in [titles, *rows]) for column in range(len(titles))]
        print(f"\nseed {self.seed}, {seconds / 60:.1f} minutes")
        for row in [titles, *rows]:
            print("  ".join(str(cell).ljust(width) if column == 0 else str(cell).rjust(width)
                            for column, (cell, width) in enumerate(zip(row, widths))))
        for (name, subject, kind, _), target, finding in self.kept:
            count = self.seen[(name, subject, kind, "".join(c for c in finding.words if not c.isdigit())[:120])]
            print(f"{count} × {kind}: {name}: {subject}: {finding.words[:160]}\n    {target}")
        return 1 if any(count[kind] for count in self.counts.values() for kind in KINDS) else 0
