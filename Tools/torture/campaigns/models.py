"""Damaged models: safetensors, index, GGUF, config.json and what lies beside them."""

import mutations
from inputs import TESTS
from mutation import MutationCampaign, Subject


class Models(MutationCampaign):
    name = "models"
    share = 4

    def subjects(self):
        inputs = self.inputs
        generate = ["generate", "input", "--prompt", "The fox jumps over", "--max-tokens", 3]
        inspect = ["inspect", "input", "--check", "--tensors"]
        convert = ["convert", "input", "--output", "output", "--slots", 4, "--window", 4, "--allow-non-finite"]
        quantize = ["quantize", "input", "--output", "output", "--bits", 4]
        fixtures = TESTS / "ModelsTests" / "Fixtures"
        scaled = fixtures / "llama-biases-llama3-rope"
        logits = ["inspect", "input", "--json"]
        chosen = mutations.SAFETENSORS
        found = [
            Subject("safetensors", inputs.student, "model.safetensors", generate, chosen, weight=2),
            Subject("safetensors, hybrid", inputs.hybrid, "model.safetensors", generate, chosen),
            Subject("safetensors, inspected", inputs.teacher, "model.safetensors", inspect, chosen),
            Subject("safetensors, converted", inputs.teacher, "model.safetensors", convert, chosen),
            Subject("safetensors, quantised", inputs.wide, "model.safetensors", quantize, chosen),
            Subject("safetensors, of 4 bits", inputs.rounded, "model.safetensors", generate, chosen, weight=2),
            Subject("shard", inputs.sharded, "model-00002-of-00004.safetensors", convert, chosen),
            Subject("index", inputs.sharded, "model.safetensors.index.json", inspect, mutations.JSON),
            Subject("index, converted", inputs.sharded, "model.safetensors.index.json", convert, mutations.JSON),
            Subject("config.json", inputs.teacher, "config.json", generate, mutations.JSON, weight=2),
            Subject("config.json, student", inputs.student, "config.json", generate, mutations.JSON, weight=3),
            Subject("config.json, 4 bits", inputs.rounded, "config.json", generate, mutations.JSON, weight=2),
            Subject("config.json, inspected", inputs.hybrid, "config.json", inspect, mutations.JSON),
            Subject("config.json, scaled RoPE", scaled, "config.json", logits, mutations.JSON),
            Subject("config.json, converted", inputs.teacher, "config.json", convert, mutations.JSON, weight=2),
            Subject("generation_config.json", inputs.sharded, "generation_config.json", inspect, mutations.JSON),
            Subject("generation_config.json, student", inputs.student, "generation_config.json", generate, mutations.JSON),
            Subject("GGUF", inputs.gguf, "", [*(a if a != "input" else "input.gguf" for a in generate)],
                    mutations.BLIND + [self.gguf_integer] * 12, weight=3),
            Subject("GGUF, converted", inputs.gguf, "", [*(a if a != "input" else "input.gguf" for a in convert)],
                    mutations.BLIND + [self.gguf_integer] * 12, weight=2),
        ]
        for fixture in ["fla-gsa-hybrid", "fla-gsa-untied", "llama-old-keys", "mistral-sliding-window", "moult-gsa"]:
            found.append(Subject(f"config.json, {fixture}", fixtures / fixture, "config.json", logits, mutations.JSON,
                                 weight=0.5))
        return found

    def gguf_integer(self, chance, data):
        """Changes one of the integers of the header: counts, lengths, types, extents, offsets."""
        # Lengths of strings are most of them; those of the first and the last fields matter more.
        fields = self.inputs.gguf_integers
        place = mutations.position(chance, len(fields))
        offset, width = fields[place]
        old = int.from_bytes(data[offset:offset + width], "little")
        value = chance.choice([chance.choice(mutations.INTEGERS), old + 1, old - 1, old * 2, old + 8, old ^ 1 << 40])
        return data[:offset] + (value & ((1 << 8 * width) - 1)).to_bytes(width, "little") + data[offset + width:]
