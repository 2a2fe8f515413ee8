"""Tries to break Moult: damaged files, killed processes, full disks, hostile templates. docs/testing.md says what for.

    make torture [MINUTES=60] [SEED=0] [CAMPAIGNS=models,kills] [CASE=models:123]
"""

import argparse
import importlib
import pkgutil
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import campaigns
from campaign import Campaign
from inputs import ROOT, Inputs
from processes import Programs
from schedule import Schedule


def every_campaign():
    """The campaigns of the folder, by name."""
    for module in pkgutil.iter_modules(campaigns.__path__):
        importlib.import_module(f"campaigns.{module.name}")

    def leaves(kind):
        for child in kind.__subclasses__():
            yield from leaves(child)
        if kind.name:
            yield kind

    return {kind.name: kind for kind in sorted(leaves(Campaign), key=lambda kind: kind.name)}


def main():
    known = every_campaign()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--campaigns", default="", help=f"some of {', '.join(known)}; without, all of them")
    parser.add_argument("--case", default="", help="one case alone, such as models:123; its folder is kept")
    parser.add_argument("--executable", type=Path, default=ROOT / ".build" / "release" / "moult")
    parser.add_argument("--findings", type=Path, default=ROOT / ".torture", help="where findings are kept")
    options = parser.parse_args()
    alone, _, number = options.case.partition(":")
    names = [alone] if alone else [name for name in options.campaigns.split(",") if name] or list(known)
    for name in names:
        if name not in known:
            parser.error(f"no campaign '{name}'; there are {', '.join(known)}")
    if not options.executable.is_file():
        parser.error(f"{options.executable} is missing; run 'make build' first")
    place = Path(tempfile.mkdtemp(prefix="moult-torture-"))
    try:
        # The program as it is now, whatever is built meanwhile.
        executable = shutil.copy2(options.executable.resolve(), place / "moult")
        programs = Programs(executable)
        inputs = Inputs(place / "inputs", programs)
        end = time.monotonic() + 60 * options.minutes
        chosen = [known[name](inputs, programs, options.seed, options.minutes < 20) for name in names]
        schedule = Schedule(chosen, place, options.findings, options.seed)
        if alone:
            return schedule.run_one(chosen[0], int(number))
        return schedule.run(end)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
