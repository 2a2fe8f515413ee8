"""Damaged data: Parquet, zstd, JSON lines, text, questions, prompts, settings."""

import mutations
from mutation import MutationCampaign, Subject

STAGES = ["--stages", "align=64", "--length", 16]


class Data(MutationCampaign):
    name = "data"
    share = 3

    def subjects(self):
        inputs = self.inputs

        def train(file, *more):
            return ["train", inputs.student, "--teacher", inputs.teacher, "--data", file, "--validation",
                    inputs.validation, *STAGES, "--output", "output", *more]

        skipping = inputs.folder / "skipping.yaml"
        skipping.write_text("data: {on_error: skip}\n")
        found = [
            Subject("JSON lines", inputs.documents, "", train("input.jsonl"), mutations.JSON[:-24] + [lines] * 12, weight=2),
            Subject("zstd", inputs.data / "documents.jsonl.zst", "", train("input.jsonl.zst"), weight=3),
            Subject("text", inputs.text, "", train("input.txt"), mutations.TEXT, weight=0.5),
            Subject("settings", inputs.settings, "", ["train", inputs.student, "--teacher", inputs.teacher, "--data",
                    inputs.text, "--validation", inputs.validation, "--config", "input.yaml", "--output", "output"],
                    mutations.TEXT, weight=3),
            Subject("prompts", inputs.prompts, "", ["generate", inputs.student, "--prompts", "input.jsonl",
                    "--max-tokens", 2], mutations.JSON[:-24] + [lines] * 12),
            Subject("text measured", inputs.text, "", ["perplexity", inputs.student, "--data", "input.txt", "--limit", 1],
                    mutations.TEXT, weight=0.5),
        ]
        for name in ["lambada_openai", "piqa_val", "arc_easy_val", "openbookqa_val"]:
            task = name.replace("_openai", "").replace("_val", "")
            command = ["evaluate", inputs.student, "--tasks", task, "--data", "input", "--limit", 2]
            found.append(Subject(f"questions, {task}", inputs.questions, f"{name}.jsonl", command,
                                 mutations.JSON[:-24] + [lines] * 12, weight=0.5))
        for path in sorted(inputs.data.glob("v?-*.parquet")) + [inputs.data / "dictionary-then-plain.parquet"]:
            found.append(Subject(f"Parquet, {path.stem}", path, "",
                                 train("input.parquet", "--config", skipping), weight=0.3))
        return found


def lines(chance, data):
    """Changes the JSON of one line."""
    parts = data.split(b"\n")
    place = chance.randrange(len(parts))
    parts[place] = mutations.changed_json(chance, parts[place])
    return b"\n".join(parts)
