"""Damaged runs: checkpoints and shards, where exit code 0 has to mean the same student; metrics and settings."""

import json
import shutil

import mutations
from mutation import MutationCampaign, Subject
from xxhash64 import xxhash64

STUDENT = "input/student/model.safetensors"


class Runs(MutationCampaign):
    name = "runs"
    share = 3

    def subjects(self):
        inputs = self.inputs
        whole = inputs.folder / "whole-run"
        inputs.must(*inputs.train(whole))
        # What a run leaves that was stopped before its last checkpoint: two, of which the later is damaged below.
        stopped = inputs.folder / "stopped-run"
        shutil.copytree(whole, stopped)
        shutil.rmtree(stopped / "student")
        steps = sorted(path.name for path in (stopped / "checkpoints").iterdir())
        resume = ["train", "--resume", "--output", "input"]
        found = []
        for file in ["model.safetensors", "state.json"]:
            mutators = mutations.JSON if file.endswith("json") else mutations.SAFETENSORS
            for step in steps[-2:]:
                found.append(Subject(f"checkpoint, {step}/{file}", stopped, f"checkpoints/{step}/{file}", resume, mutators,
                                     covered=(STUDENT,), mend=mend_checkpoint, weight=2))
        # Also with one checkpoint alone: an error is right, another student is not.
        alone = inputs.folder / "run-of-one-checkpoint"
        shutil.copytree(stopped, alone)
        shutil.rmtree(alone / "checkpoints" / steps[-1])
        for file in ["model.safetensors", "state.json"]:
            mutators = mutations.JSON if file.endswith("json") else mutations.SAFETENSORS
            found.append(Subject(f"only checkpoint, {file}", alone, f"checkpoints/{steps[-2]}/{file}", resume, mutators,
                                 covered=(STUDENT,), mend=mend_checkpoint, weight=2))
        for place in sorted(alone.rglob("*.tokens")) + sorted(alone.rglob("manifest.json")):
            name = place.relative_to(alone)
            mutators = mutations.JSON if place.suffix == ".json" else mutations.BLIND
            found.append(Subject(f"tokens, {name.name}", alone, str(name), resume, mutators, covered=(STUDENT,),
                                 mend=mend_shard))
        found += [
            Subject("metrics.jsonl, resumed", alone, "metrics.jsonl", resume, mutations.TEXT, covered=(STUDENT,)),
            Subject("config.yaml, resumed", alone, "config.yaml", resume, mutations.TEXT, weight=2),
            Subject("metrics.jsonl, reported", whole, "metrics.jsonl", ["report", "input"],
                    mutations.TEXT + [lines] * 16, weight=3),
            Subject("config.yaml, reported", whole, "config.yaml", ["report", "input"], mutations.TEXT),
            Subject("conversion.json, reported", whole, "student/conversion.json", ["report", "input"], mutations.JSON),
        ]
        return found


def mend_checkpoint(target, file):
    """The hash of damaged tensors in state.json."""
    if file.name != "model.safetensors":
        return
    path = file.parent / "state.json"
    state = json.loads(path.read_text())
    state["content"] = f"{xxhash64(file.read_bytes()):016x}"
    path.write_text(json.dumps(state))


def mend_shard(target, file):
    """The checksum of damaged tokens in their manifest."""
    if file.suffix != ".tokens":
        return
    path = file.parent / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["shards"][int(file.stem)]["checksum"] = f"{xxhash64(file.read_bytes()):016x}"
    path.write_text(json.dumps(manifest))


def lines(chance, data):
    parts = data.split(b"\n")
    place = chance.randrange(len(parts))
    parts[place] = mutations.changed_json(chance, parts[place])
    return b"\n".join(parts)
