#!/usr/bin/env python3
"""Asks moult serve for a long time, as clients do at their worst.

    python3 Tools/oracles/serve_soak.py [MODEL] [--requests 10000] [--clients 32] [--seed 0] [--folder]
    python3 Tools/oracles/serve_soak.py [MODEL] --kills 40 [--conversations 8] [--turns 12] [--seed 0]

A third of the requests are cancelled at a random moment, malformed, or too large. Every other one is answered as it was when it was
asked alone, to the byte, but for the last digits of likelihoods where weights are not quantised; memory does not grow after the
first tenth; and at the end nothing runs, and the server stops with 0. With --folder it keeps its states in a folder meanwhile.

With --kills a server that keeps its states in a folder is killed (SIGKILL) at random moments and started again, while conversations go on by
/v1/responses. What was told as finished is never lost: the turn after it is answered as by a server that nobody kills, to the
byte, and goes on from the finished turn's state (cached_tokens).
"""

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
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
    parser.add_argument("--folder", action="store_true", help="keep states in a folder")
    parser.add_argument("--kills", type=int, default=0, help="kill the server so often, and ask conversations alone")
    parser.add_argument("--conversations", type=int, default=8)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--exact", action="store_true", help="compare all digits: of a model with quantised weights")
    arguments = parser.parse_args()
    if arguments.kills:
        return await kills(arguments)

    command = [str(moult.EXECUTABLE), "serve", str(arguments.model), "--port", "0", "--log-level", "error",
               "--state-reuse", "exact", "--state-cache-size", "3M", "--max-body", str(BODY_LIMIT), "--queue", "1000"]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.folder:
            command += ["--state-folder", folder]
        print("$", *command, flush=True)
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        try:
            await soak(process, arguments)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


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
    states, size = (int(re.search(rf"moult:disk_snapshot{name}\{{[^}}]*\}} (\d+)", metrics)[1]) for name in ("s", "_bytes"))
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0, "moult serve did not end with 0"
    sys.stderr.write((await echo).decode())
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    early, late = max(memory[1:3]), max(memory[-3:])
    print(f"memory: {early / 1e6:.0f} MB after a tenth, {late / 1e6:.0f} MB at the end; {states} states of {size / 1e6:.0f} MB on the disk")
    assert late < early * 1.1 + 20e6, "memory grows"


class Server:
    """A server that keeps its states in a folder, and is started again whenever it was killed."""

    def __init__(self, model, folder):
        self.command = [str(moult.EXECUTABLE), "serve", str(model), "--port", "0", "--log-level", "warning",
                        "--state-folder", folder]
        self.process = self.port = self.echo = None
        self.warnings = []

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(*self.command, stderr=asyncio.subprocess.PIPE)
        while not (line := (await self.process.stderr.readline()).decode()).startswith("serving "):
            assert line, "moult serve ended before it served"
            self.warnings.append(line)
        self.port = int(line.rsplit(":", 1)[1])
        self.echo = asyncio.create_task(self.process.stderr.read())

    async def end(self, kill):
        self.port = None
        self.process.kill() if kill else self.process.terminate()
        status = await self.process.wait()
        self.warnings += (await self.echo).decode().splitlines(keepends=True)
        assert kill or status == 0, f"moult serve ended with {status}"


def turn(seed, conversation, number):
    """What is asked in a turn of a conversation."""
    rng = random.Random(f"{seed} {conversation} {number}")
    words = " ".join(rng.choice("the fox jumps over a dog and runs".split()) for _ in range(rng.choice([2, 10, 60])))
    return {"input": f"{conversation} {words}", "temperature": 0, "max_output_tokens": rng.choice([8, 24, 48]),
            "stream": rng.random() < 0.5, "ignore_eos": rng.random() < 0.5}


async def respond(port, body):
    """The response to `body`; nothing when the server did not live to say that it is finished."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        text = json.dumps(body).encode()
        writer.write(b"POST /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(text)
                     + text)
        answer = await reader.read(-1)
        writer.close()
    except OSError:
        return None
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head:
        return None
    status = int(head.split()[1])
    assert status in (200, 503), f"{status}: {rest[:300]}"
    if status == 503:
        return None
    if not body["stream"]:
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        return json.loads(rest) if len(rest) == length else None
    found = re.search(rb"event: response.(?:completed|incomplete)\ndata: (.*)\n\n", rest)
    return json.loads(found[1])["response"] if found else None


async def converse(server, arguments, conversation, answers):
    """All turns of a conversation; each is asked until it was told as finished. Appends text, cached and prompt's tokens of each."""
    previous = None
    for number in range(arguments.turns):
        body = turn(arguments.seed, conversation, number) | ({"previous_response_id": previous} if previous else {})
        attempts = 0
        while True:
            response = await respond(server.port, body) if server.port else None
            attempts += 1
            if response:
                break
            await asyncio.sleep(0.02)
        usage = response["usage"]
        answers.append((response["output"][0]["content"][0]["text"], usage["input_tokens_details"]["cached_tokens"],
                        usage["input_tokens"], attempts))
        previous = response["id"]


async def kills(arguments):
    async def conversations(server):
        answers = [[] for _ in range(arguments.conversations)]
        await asyncio.gather(*[converse(server, arguments, index, found) for index, found in enumerate(answers)])
        return answers

    with tempfile.TemporaryDirectory() as folder:
        server = Server(arguments.model, folder)
        print("$", *server.command, flush=True)
        await server.start()
        expected = await conversations(server)
        await server.end(kill=False)
    rng = random.Random(arguments.seed)
    killed = 0
    with tempfile.TemporaryDirectory() as folder:
        server = Server(arguments.model, folder)

        async def killing():
            nonlocal killed
            await server.start()
            while killed < arguments.kills:
                await asyncio.sleep(rng.random() ** 2 * 0.6 + 0.02)
                await server.end(kill=True)
                killed += 1
                await server.start()

        killer = asyncio.create_task(killing())
        found = await conversations(server)
        await killer
        await server.end(kill=False)
    sys.stderr.writelines(server.warnings)
    repeated = sum(attempts > 1 for answers in found for *_, attempts in answers)
    for conversation, (ours, theirs) in enumerate(zip(found, expected)):
        for number, (our, their) in enumerate(zip(ours, theirs)):
            assert our[0] == their[0], f"turn {number} of {conversation} is answered otherwise:\n{their[0]!r}\n{our[0]!r}"
            # At least all that the turn before has read, as without a kill.
            assert number == 0 or our[1] >= their[1] > 0, (
                f"turn {number} of {conversation}: {our[1]} tokens of {their[1]} cached")
    turns = arguments.conversations * arguments.turns
    print(f"{turns} turns, {killed} kills, {repeated} turns asked again: all as without a kill, none lost")


if __name__ == "__main__":
    asyncio.run(main())
