#!/usr/bin/env python3
"""Asks moult serve for a long time, as clients do at their worst.

    python3 Tools/oracles/serve_soak.py [MODEL] [--requests 10000] [--clients 32] [--seed 0]

A third of the requests are cancelled at a random moment, malformed, or too large. Every other one is answered as it was when it was
asked alone, to the byte, but for the last digits of likelihoods where weights are not quantised; memory does not grow after the
first tenth; and at the end nothing runs, and the server stops with 0.
"""

import argparse
import asyncio
import json
import random
import re
import sys
from pathlib import Path

import moult

TEACHER = moult.ROOT / "Tests" / "TrainingTests" / "Fixtures" / "teacher"
BODY_LIMIT = 100_000


def question(index):
    """A request that has one answer."""
    rng = random.Random(index)
    words = " ".join(rng.choice("the fox jumps over a dog and runs".split()) for _ in range(rng.choice([1, 5, 20, 300])))
    body = {"prompt": words, "max_tokens": rng.choice([1, 4, 16, 64]), "temperature": rng.choice([0, 1]), "seed": index,
            "ignore_eos": True}
    if rng.random() < 0.2:
        body |= {"echo": True, "logprobs": 2}
    elif rng.random() < 0.5:
        body["stream"] = True
    if rng.random() < 0.1:
        body["n"] = 3
    return body


def wrong(rng):
    """A body that must be refused, and how."""
    return rng.choice([
        (b"{", 400), (b"", 400), (b"[" * 5000, 400), (b"\xff\xfe", 400), (b'{"prompt": "x", "max_tokens": -1}', 400),
        (b'{"prompt": [99999999]}', 400), (b'{"prompt": "x", "nothing": 1}', 400), (b'{"prompt": "x", "model": "y"}', 404),
        (b'{"prompt": "' + b"x" * BODY_LIMIT + b'"}', 413),
    ])


async def ask(port, body, patience=None):
    """Status and body of an answer; nothing of one that is waited for no longer than `patience` seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    try:
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(body) + body)
        try:
            head, _, rest = (await asyncio.wait_for(reader.read(-1), patience)).partition(b"\r\n\r\n")
        except asyncio.TimeoutError:
            return None, b""
        return int(head.split()[1]), rest
    finally:
        writer.close()


def plain(body):
    """An answer without what differs from one time to another."""
    body = re.sub(rb"\r\n[0-9a-f]+\r\n|^[0-9a-f]+\r\n", b"", body)
    # Comments say how far a prompt is read.
    body = re.sub(rb"^: .*\n\n", b"", body, flags=re.MULTILINE)
    body = re.sub(rb'"(id|created)":("[^"]*"|\d+)', b"", body)

    def choice(event):
        index = re.search(rb'"index":(\d+)', event)
        return int(index[1]) if index else -1

    # Continuations of one prompt come side by side, in any order.
    return b"\n\n".join(sorted(body.split(b"\n\n"), key=choice))


def resident(process):
    """Bytes of memory of the server."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1000


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=TEACHER)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--questions", type=int, default=200, help="different ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exact", action="store_true", help="compare all digits: of a model with quantised weights")
    arguments = parser.parse_args()

    command = [str(moult.EXECUTABLE), "serve", str(arguments.model), "--port", "0", "--log-level", "error",
               "--state-reuse", "exact", "--state-cache-size", "3M", "--max-body", str(BODY_LIMIT), "--queue", "1000"]
    print("$", *command, flush=True)
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        await soak(process, arguments)
    finally:
        if process.returncode is None:
            process.kill()


async def soak(process, arguments):
    """Asks `process` and checks what it answers."""
    while not (line := (await process.stderr.readline()).decode()).startswith("serving "):
        assert line, "moult serve ended before it served"
    port = int(line.rsplit(":", 1)[1])
    echo = asyncio.create_task(process.stderr.read())

    async def answer(index):
        status, body = await ask(port, json.dumps(question(index)).encode())
        assert status == 200, f"question {index}: {status} {body[:200]}"
        return plain(body)

    def comparable(body):
        # Of what is reused the number may differ; a batch sums in another order (docs/decoding.md).
        body = re.sub(rb'"cached_tokens":\d+', b"", body)
        return body if arguments.exact else re.sub(rb"-\d+\.\d+(e-\d+)?", lambda n: b"%.2f" % float(n[0]), body)

    alone = [comparable(await answer(index)) for index in range(arguments.questions)]
    rng = random.Random(arguments.seed)
    counts = {"answered": 0, "cancelled": 0, "refused": 0, "too late to cancel": 0}
    memory = []
    left = iter(range(arguments.requests))

    async def client():
        for number in left:
            kind = rng.random()
            if kind < 1 / 6:
                status, _ = await ask(port, json.dumps(question(rng.randrange(10**6)) | {"max_tokens": 2000}).encode(),
                                      patience=rng.random() * 0.3)
                counts["cancelled" if status is None else "too late to cancel"] += 1
            elif kind < 1 / 3:
                body, expected = wrong(rng)
                status, answered = await ask(port, body)
                assert status == expected, f"{body[:60]}: {status}, expected {expected}: {answered[:200]}"
                counts["refused"] += 1
            else:
                index = rng.randrange(arguments.questions)
                found = comparable(await answer(index))
                assert found == alone[index], f"question {index} is answered otherwise:\n{alone[index]}\n{found}"
                counts["answered"] += 1
            if number % max(1, arguments.requests // 20) == 0:
                memory.append(resident(process))
                print(f"{number}: {memory[-1] / 1e6:.0f} MB", flush=True)

    await asyncio.gather(*[client() for _ in range(arguments.clients)])
    await asyncio.sleep(1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    metrics = (await reader.read(-1)).decode()
    for name in ("num_requests_running", "num_requests_waiting"):
        assert re.search(rf"moult:{name}\{{[^}}]*\}} 0\b", metrics), f"{name} is not 0 at the end"
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0, "moult serve did not end with 0"
    sys.stderr.write((await echo).decode())
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    early, late = max(memory[1:3]), max(memory[-3:])
    print(f"memory: {early / 1e6:.0f} MB after a tenth, {late / 1e6:.0f} MB at the end")
    assert late < early * 1.1 + 20e6, "memory grows"


if __name__ == "__main__":
    asyncio.run(main())
