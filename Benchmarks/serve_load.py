#!/usr/bin/env python3
"""Load on a server of OpenAI's API: tokens per second and latencies, from the standard library alone.

    python3 Benchmarks/serve_load.py http://127.0.0.1:8080 --text TEXT --clients 1,8,32 --prompt-bytes 400,4000 --tokens 128

Every client streams completions one after another, each with a prompt of its own: a piece of TEXT. --conversation N measures
a second turn instead: a prompt of N bytes, and then that prompt with its answer and a question more. The figures of any server
are comparable: the same prompts in the same order, greedy, without an end before --tokens where the server can do that
(ignore_eos).
"""

import argparse
import asyncio
import json
import statistics
import time
import urllib.parse


async def stream(url, body, key):
    """Seconds to the first token, to each one after it, and to the end; tokens by the server's count."""
    place = urllib.parse.urlsplit(url)
    data = json.dumps(body).encode()
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1 << 22)
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    writer.write(f"POST {place.path or ''}/v1/completions HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
                 f"{authorization}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
    status = (await reader.readline()).decode().split(" ", 2)
    if status[1] != "200":
        raise SystemExit(f"{url}: {' '.join(status).strip()}: {(await reader.read(2000)).decode(errors='replace')[-500:]}")
    first, usage, text = None, None, []
    async for line in reader:
        if not line.startswith(b"data: {"):
            continue
        now = time.perf_counter() - start
        event = json.loads(line[6:])
        if "error" in event:
            raise SystemExit(f"{url}: {event['error']}")
        usage = event.get("usage") or usage
        if event.get("choices") and event["choices"][0].get("text"):
            first = first or now
            text.append(event["choices"][0]["text"])
    writer.close()
    total = time.perf_counter() - start
    cached = ((usage or {}).get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return dict(first=first or total, total=total, tokens=usage["completion_tokens"], prompt=usage["prompt_tokens"],
                cached=cached, text="".join(text))


def request(prompt, options):
    return dict(model=options.model, prompt=prompt, max_tokens=options.tokens, temperature=0, stream=True, ignore_eos=True,
                stream_options=dict(include_usage=True))


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def load(options, text, clients, size, start):
    """One row: `clients` at a time, --requests each."""
    results = []

    async def client(number):
        for turn in range(options.requests):
            place = (start + (number * options.requests + turn) * size) % max(1, len(text) - size)
            results.append(await stream(options.url, request(text[place:place + size], options), options.key))

    begin = time.perf_counter()
    await asyncio.gather(*[client(number) for number in range(clients)])
    seconds = time.perf_counter() - begin
    tokens, prompts = sum(r["tokens"] for r in results), sum(r["prompt"] - r["cached"] for r in results)
    pace = [(r["total"] - r["first"]) / max(1, r["tokens"] - 1) for r in results]
    first = [r["first"] for r in results]
    print(f"| {clients} | {statistics.mean(r['prompt'] for r in results):.0f} | {tokens / seconds:.0f} | {prompts / seconds:.0f} "
          f"| {1000 * statistics.median(first):.0f} / {1000 * quantile(first, .95):.0f} "
          f"| {1000 * statistics.median(pace):.1f} / {1000 * quantile(pace, .95):.1f} |", flush=True)


async def conversation(options, text, size):
    """Milliseconds to the first token of a first and of a second turn."""
    for repeat in range(options.requests):
        prompt = text[repeat * size:(repeat + 1) * size]
        one = await stream(options.url, request(prompt, options), options.key)
        two = await stream(options.url, request(prompt + one["text"] + "\n\nWhat does this mean?", options), options.key)
        print(f"| {one['prompt']} | {1000 * one['first']:.0f} | {two['prompt']} | {two['cached']} | {1000 * two['first']:.0f} |",
              flush=True)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--text", required=True)
    parser.add_argument("--model", default="model")
    parser.add_argument("--key")
    parser.add_argument("--clients", default="1,8,32")
    parser.add_argument("--prompt-bytes", default="400")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--requests", type=int, default=4, help="of each client")
    parser.add_argument("--conversation", type=int, metavar="BYTES")
    options = parser.parse_args()
    with open(options.text, encoding="utf-8", errors="ignore") as file:
        text = file.read(64_000_000)
    if options.conversation:
        print("| prompt | first token, ms | second prompt | cached | first token, ms |\n|---|---|---|---|---|")
        return await conversation(options, text, options.conversation)
    print("| clients | prompt | generated tok/s | read tok/s | first token, ms, median / p95 | a token, ms, median / p95 |")
    print("|---|---|---|---|---|---|")
    start = 0
    for size in map(int, options.prompt_bytes.split(",")):
        for clients in map(int, options.clients.split(",")):
            await load(options, text, clients, size, start)
            start += clients * options.requests * size


asyncio.run(main())
