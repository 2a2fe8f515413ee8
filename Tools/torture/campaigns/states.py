"""Damaged states of sequences: exit code 0 has to mean the same continuation, bit for bit."""

import mutations
from mutation import MutationCampaign, Subject
from xxhash64 import xxhash64


def mend(_, file):
    """The right length and the right checksum, as an attacker would write them."""
    data = bytearray(file.read_bytes())
    if len(data) > 32:
        data[16:24] = len(data).to_bytes(8, "little")
        data[-8:] = xxhash64(bytes(data[:-8])).to_bytes(8, "little")
        file.write_bytes(data)


class States(MutationCampaign):
    name = "states"
    share = 1.5

    def subjects(self):
        inputs = self.inputs
        found = []
        for name, model, state in [("GSA", inputs.student, inputs.state), ("hybrid", inputs.hybrid, inputs.hybrid_state)]:
            command = ["generate", model, "--load-state", f"input{state.suffix}", "--prompt", " and the dog",
                       "--max-tokens", 3, "--save-state", "output.moult-state"]
            found.append(Subject(f"state, {name}", state, "", command, mutations.BLIND, weight=3,
                                 covered=("-", "output.moult-state"), mend=mend))
        turns = b"Go on\n/stats\n/save output.moult-state\n"
        chat = ["chat", inputs.student, "--seed", 0, "--load-state", f"input{inputs.state.suffix}", "--max-tokens", 3]
        found.append(Subject("conversation", inputs.conversation, "", chat, mutations.BLIND, turns,
                             covered=("-", "output.moult-state"), mend=mend, weight=2))
        # A damaged entry of a prompt cache is removed, or left alone where it no longer looks like one; it is never used.
        cache = inputs.folder / "prompt-cache"
        prompt = ["--prompt", "The fox jumps over the dog", "--max-tokens", 3]
        inputs.must("generate", inputs.student, *prompt, "--prompt-cache", cache)
        entry = next(cache.glob("*.moult-state")).name
        found.append(Subject("prompt cache", cache, entry, ["generate", inputs.student, *prompt, "--prompt-cache", "input"],
                             mutations.BLIND, covered=("-",), mend=mend, weight=2, may_fail=False))
        return found
