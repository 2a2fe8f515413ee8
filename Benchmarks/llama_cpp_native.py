#!/usr/bin/env python3
"""Speed of llama.cpp built for this very processor, with flash attention, on the file that Moult converts.

    CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary llama-cpp-python llama-cpp-python
    python3 Benchmarks/llama_cpp_native.py MODEL.gguf TEXT [THREADS]

Tokens per second of 64 single tokens after each of several contexts, and of a prompt of 512.
"""

import sys
import time

sys.path.pop(0)  # llama_cpp.py beside this file is not the package

from llama_cpp import Llama  # noqa: E402

DEPTHS, DECODED, PROMPT = (16, 512, 4096), 64, 512


def rate(count, go):
    start = time.perf_counter()
    go()
    return count / (time.perf_counter() - start)


def main(path, text, threads="2"):
    model = Llama(path, n_ctx=DEPTHS[-1] + 2 * DECODED, n_threads=int(threads), n_threads_batch=int(threads), n_batch=512,
                  flash_attn=True, verbose=False)
    with open(text) as file:
        ids = model.tokenize(file.read(40_000).encode())
    model.eval(ids[:DECODED])
    for depth in DEPTHS:
        model.reset()
        model.eval(ids[:depth])
        tokens = rate(DECODED, lambda: [model.eval([token]) for token in ids[depth:depth + DECODED]])
        print(f"decode after {depth:<20} {tokens:8.1f} tok/s")
    model.reset()
    print(f"prefill {PROMPT:<25} {rate(PROMPT, lambda: model.eval(ids[:PROMPT])):8.1f} tok/s")


if __name__ == "__main__":
    main(*sys.argv[1:])
