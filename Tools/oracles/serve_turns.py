#!/usr/bin/env python3
"""Times the second turn of a conversation with a long history: from a state in memory, and from one on the disk after kill -9.

    python3 Tools/oracles/serve_turns.py MODEL [--tokens 8000] [--turns 10]

The history is read once. Then each turn asks something new behind it; what is timed is the way from sending the request to the first
text of the answer, over HTTP, with nothing else to do.
"""

import argparse
import http.client
import json
import random
import re
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import moult


def start(model, folder):
    command = [str(moult.EXECUTABLE), "serve", str(model), "--port", "0", "--log-level", "warning", "--state-folder", folder,
               "--state-cache-size", "1G"]
    print("$", *command, flush=True)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("serving "):
            return process, int(line.rsplit(":", 1)[1])
        print(line, end="")
    raise SystemExit("moult serve ended before it served")


def ask(port, body):
    """The response, and the seconds until its first text."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    begin = time.perf_counter()
    connection.request("POST", "/v1/responses", json.dumps(body | {"stream": True, "temperature": 0}))
    answer, first, response = connection.getresponse(), None, None
    for line in answer:
        if line.startswith(b"event: response.output_text.delta"):
            first = first or time.perf_counter() - begin
        elif found := re.match(rb'data: (\{"type":"response.(?:completed|incomplete)".*)', line):
            response = json.loads(found[1])["response"]
    assert answer.status == 200 and response, "no response"
    return response, first


def told(name, times, cached):
    times = sorted(1000 * seconds for seconds in times)
    print(f"{name}: median {statistics.median(times):.0f} ms, {times[0]:.0f} to {times[-1]:.0f} ms, of {len(times)}; "
          f"{min(cached)} tokens or more cached", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--turns", type=int, default=10)
    arguments = parser.parse_args()
    rng = random.Random(0)
    words = (moult.ROOT / "docs" / "serving.md").read_text().split()
    with tempfile.TemporaryDirectory() as folder:
        process, port = start(arguments.model, folder)
        history = " ".join(rng.choice(words) for _ in range(arguments.tokens))
        # As many words as make that many tokens.
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/tokenize", json.dumps({"prompt": history}))
        count = json.loads(connection.getresponse().read())["count"]
        history = history[:len(history) * arguments.tokens // count]
        base, seconds = ask(port, {"input": history, "max_output_tokens": 8})
        print(f"first turn: {base['usage']['input_tokens']} tokens read in {seconds:.2f} s", flush=True)
        # Ends of the history that differ, so that each has a state of its own on the disk.
        ends = [ask(port, {"input": f"Remember {number}.", "max_output_tokens": 8, "previous_response_id": base["id"]})[0]
                for number in range(arguments.turns)]

        def turns():
            answers = [ask(port, {"input": f"What about {rng.randrange(10**6)}?", "max_output_tokens": 4,
                                  "previous_response_id": end["id"]}) for end in ends]
            return [first for _, first in answers], [a["usage"]["input_tokens_details"]["cached_tokens"] for a, _ in answers]

        told("second turn, from memory", *turns())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process, port = start(arguments.model, folder)
        told("second turn, from the disk after kill -9", *turns())
        size = max(path.stat().st_size for path in Path(folder).glob("states/*/*"))
        print(f"the largest state on the disk: {size} bytes")
        process.terminate()
        assert process.wait(30) == 0


if __name__ == "__main__":
    main()
