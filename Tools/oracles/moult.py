"""Calls the moult executable from the oracles."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXECUTABLE = Path(os.environ.get("MOULT", ROOT / ".build" / "release" / "moult"))


def run(*arguments, environment=None):
    """Runs moult and returns what it printed on standard output; its progress stays visible."""
    command = [str(EXECUTABLE), *map(str, arguments)]
    print("$", *command, flush=True)
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | (environment or {}))
    if result.returncode != 0:
        raise SystemExit(f"moult failed with status {result.returncode}")
    return result.stdout


def run_json(*arguments, environment=None):
    return json.loads(run(*arguments, "--json", environment=environment))


@contextmanager
def serving(model, *options):
    """The root of a server of `model` on a free port, which must end with 0."""
    command = [str(EXECUTABLE), "serve", str(model), "--port", "0", "--log-level", "warning", *map(str, options)]
    print("$", *command, flush=True)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if line.startswith("serving "):
                break
            sys.stderr.write(line)
        else:
            raise SystemExit("moult serve ended before it served")
        threading.Thread(target=lambda: sys.stderr.writelines(process.stderr), daemon=True).start()
        yield line.split(" at ")[1].strip()
    finally:
        process.terminate()
        status = process.wait(timeout=30)
    check(status == 0, "moult serve ends with 0")


def check(holds, what):
    """Says what holds, and ends with what does not."""
    print(("ok    " if holds else "WRONG ") + what, flush=True)
    if not holds:
        raise SystemExit(f"{Path(sys.argv[0]).stem}: {what}")


def logits(model, tokens):
    """Moult's logits (B, T, V) float32 for rows of token ids of one length."""
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        ids, output = Path(folder) / "tokens.json", Path(folder) / "logits"
        ids.write_text(json.dumps([list(map(int, row)) for row in tokens]))
        run("debug-logits", model, "--tokens", ids, "--output", output)
        return load_file(output / "model.safetensors")["logits"]
