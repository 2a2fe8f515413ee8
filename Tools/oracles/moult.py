"""Calls the moult executable from the oracles."""

import json
import os
import subprocess
import tempfile
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


def logits(model, tokens):
    """Moult's logits (B, T, V) float32 for rows of token ids of one length."""
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        ids, output = Path(folder) / "tokens.json", Path(folder) / "logits"
        ids.write_text(json.dumps([list(map(int, row)) for row in tokens]))
        run("debug-logits", model, "--tokens", ids, "--output", output)
        return load_file(output / "model.safetensors")["logits"]
