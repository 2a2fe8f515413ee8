"""Compares Moult's token ids, and the text that it makes of them, with Hugging Face tokenizers', family by family.

    pip install tokenizers numpy safetensors gguf
    python Tools/oracles/tokenizer_families.py TEXT...

For each family a small vocabulary is trained on the beginning of the texts, with the normaliser, pre-tokeniser, added tokens,
post-processor and decoder of its published tokenizer.json, and TEXT is encoded and decoded by both, with added tokens strewn in.
Where llama.cpp knows the family by a name of `tokenizer.ggml.pre`, the same vocabulary is also compared as a .gguf file.
"""

import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from moult import EXECUTABLE

VOCABULARY = 4000
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
WORDS = rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{{0}}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{{0}}"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = WORDS.replace("{0}", CONTRACTIONS + "?") + r"|\p{N}{1,3}" + REST
TEKKEN = WORDS.replace("{0}", "") + r"|\p{N}" + REST
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
THREE = pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")
DIGITS = pre_tokenizers.Digits(individual_digits=True)
PIECES = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]


def sequence(*steps):
    return pre_tokenizers.Sequence(list(steps))


def special(*texts, **flags):
    return [AddedToken(text, special=True, normalized=False, **flags) for text in texts]


def plain(*texts, normalized=False, **flags):
    return [AddedToken(text, special=False, normalized=normalized, **flags) for text in texts]


CHATML = special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SPACES = [" " * count for count in range(24, 1, -1)]
SPIECE = special("<unk>", "<s>", "</s>")
PHI3 = (special("<unk>", "<s>") + plain("</s>", rstrip=True) + special("<|endoftext|>")
        + special("<|assistant|>", "<|system|>", "<|end|>", "<|user|>", rstrip=True))
# Name; pre-tokeniser; normaliser; added tokens; other properties; the name that llama.cpp has for it.
BYTE_LEVEL = [
    ("gpt2", GPT2, None, special("<|endoftext|>"), {}, "gpt-2"),
    ("gpt_neox", GPT2, normalizers.NFC(), special("<|endoftext|>", "<|padding|>") + plain(*SPACES, normalized=True), {}, "olmo"),
    ("qwen2", sequence(pre_tokenizers.Split(Regex(QWEN2), "isolated"), BYTES), normalizers.NFC(),
     CHATML + plain("<tool_call>", "</tool_call>", "<think>", "</think>"), {}, "qwen2"),
    ("smollm3", sequence(pre_tokenizers.Split(Regex(LLAMA3), "isolated"), BYTES), None,
     special("<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>") + plain("<think>", "</think>"),
     {"ignore_merges": True, "bos": "<|begin_of_text|>"}, "llama-bpe"),
    ("olmo2", sequence(pre_tokenizers.Split(Regex(LLAMA3), "removed", invert=True), BYTES), None,
     special("<|endoftext|>", "<|pad|>") + plain("|||IP_ADDRESS|||", "<|im_start|>"), {}, "dbrx"),
    ("cl100k", sequence(pre_tokenizers.Split(Regex(CL100K), "isolated"), BYTES), None, special("<|endoftext|>"), {}, None),
    ("starcoder2", sequence(DIGITS, GPT2), None, special("<|endoftext|>", "<fim_prefix>", "<file_sep>"), {}, "starcoder"),
    ("granite", sequence(DIGITS, GPT2), None,
     special("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"), {}, "refact"),
    ("smollm2", sequence(DIGITS, GPT2), None, CHATML, {}, "smollm"),
    ("phi4-mini", sequence(pre_tokenizers.Split(Regex(O200K), "isolated"), BYTES), None,
     special("<|endoftext|>", "<|end|>", "<|user|>") + special("<|assistant|>", rstrip=True, lstrip=True), {}, None),
    ("o200k", sequence(pre_tokenizers.Split(Regex(O200K), "removed", invert=True), BYTES), None, special("<|endoftext|>"), {},
     "gpt-4o"),
    ("falcon", sequence(pre_tokenizers.Punctuation("contiguous"), GPT2, pre_tokenizers.Digits(), THREE), None,
     special(">>TITLE<<", ">>QUESTION<<", "<|endoftext|>"), {}, None),
    ("falcon, digits apart", sequence(pre_tokenizers.Punctuation("contiguous"), GPT2, DIGITS, THREE), None,
     special(">>TITLE<<", "<|endoftext|>"), {}, None),
    ("falcon3", sequence(pre_tokenizers.Split(Regex(LLAMA3), "isolated"), BYTES), None,
     special(">>TITLE<<", "<|endoftext|>") + plain("<|user|>", "<|assistant|>"), {"ignore_merges": True}, "falcon3"),
    ("mistral-nemo", sequence(pre_tokenizers.Split(Regex(TEKKEN), "isolated"), BYTES), None,
     special("<unk>", "<s>", "</s>", "[INST]", "[/INST]"), {"ignore_merges": True, "bos": "<s>"}, "tekken"),
]
PREPENDS = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
STRIPS = PIECES + [decoders.Strip(" ", 1, 0)]
# Name; normaliser; pre-tokeniser; decoder; added tokens; whether texts begin with BOS; the model's name in GGUF, if it has one.
SENTENCE_PIECE = [
    ("llama2, mixtral", PREPENDS, None, STRIPS, SPIECE, True, "llama"),
    ("mistral 0.3", None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), STRIPS,
     SPIECE + special("[INST]", "[/INST]", "[TOOL_CALLS]"), True, None),
    ("phi3", PREPENDS, None, STRIPS, PHI3, False, "phi-3"),
    ("gemma2, gemma3", normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"), PIECES,
     special("<unk>", "<bos>", "<eos>", "<pad>") + plain("<start_of_turn>", "<end_of_turn>", "\n\n", "\n\n\n", "<table>", "[toxicity=0]"),
     True, "gemma"),
]


def byte_level(corpus, words, normalizer, added, properties):
    tokenizer = Tokenizer(models.BPE(ignore_merges=properties.get("ignore_merges", False)))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer, tokenizer.decoder = words, decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_tokens(added)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if bos := properties.get("bos"):
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template(tokenizer, bos)])
    return tokenizer


def template(tokenizer, bos):
    return processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])


def sentence_piece(corpus, normalizer, words, decoder, added, begins):
    """Characters, bytes for those without a token, and merges across words of spaces."""
    first = [token.content for token in added] + [f"<0x{byte:02X}>" for byte in range(256)]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=first, limit_alphabet=300, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    vocabulary, merges = model["vocab"], [tuple(merge) for merge in model["merges"]]
    for count in (1, 2, 4, 8):
        vocabulary["▁" * 2 * count] = len(vocabulary)
        merges.append(("▁" * count, "▁" * count))
    # As transformers makes them of scores: every way to make a token, those of one token by their parts' ids.
    merges = [(left, right) for _, _, _, left, right in sorted(
        (vocabulary[token], vocabulary[token[:cut]], vocabulary[token[cut:]], token[:cut], token[cut:])
        for token in vocabulary if vocabulary[token] >= len(first)
        for cut in range(1, len(token)) if token[:cut] in vocabulary and token[cut:] in vocabulary)]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer:
        tokenizer.normalizer = normalizer
    if words:
        tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.Sequence(decoder)
    tokenizer.add_tokens(added)
    if begins:
        tokenizer.post_processor = template(tokenizer, added[1].content)
    return tokenizer


def strewn(text, added, chance):
    """The text with added tokens in it, at its ends, beside white space and inside words."""
    parts, position = [], 0
    while position < len(text):
        length = chance.randrange(1, 4000)
        around = chance.choice(["{}", " {}", "{} ", " {} ", "\n{}\n", "{}\n\n", "\t{}", "  {}  ", "{}{}", "{} {}", "{}\u00a0"])
        tokens = [chance.choice(added).content for _ in range(2)]
        parts += [text[position:position + length], around.format(*tokens)]
        position += length
    return "".join(parts)


def write_folder(folder, tokenizer):
    """A model with this tokenizer and hardly any weights."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
        "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 64}))
    save_file({"model.norm.weight": np.ones(8, np.float32)}, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_gguf(path, tokenizer, name, is_pieces, begins):
    """The vocabulary as llama.cpp's converter writes it."""
    model = json.loads(tokenizer.to_str())
    size = tokenizer.get_vocab_size()
    texts = {id: text for text, id in tokenizer.get_vocab().items()}
    added = {entry["id"]: entry for entry in model["added_tokens"]}
    types = [3 if id in added and added[id]["special"] else 4 if id in added else
             6 if is_pieces and re.fullmatch("<0x[0-9A-F]{2}>", texts[id]) else 1 for id in range(size)]
    if is_pieces:
        types[tokenizer.token_to_id("<unk>")] = 2
    writer = gguf.GGUFWriter(path, "phi3" if name == "phi-3" else "llama")
    writer.add_vocab_size(size)
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama" if is_pieces else "gpt2")
    writer.add_tokenizer_pre("default" if is_pieces else name)
    writer.add_token_list([texts[id] for id in range(size)])
    writer.add_token_types(types)
    if is_pieces:
        writer.add_token_scores([-float(id) for id in range(size)])
        writer.add_add_space_prefix(name != "gemma")
    else:
        writer.add_token_merges([" ".join(merge) for merge in model["model"]["merges"]])
    bos = next((id for id in range(size) if texts[id] == begins), None)
    if bos is not None:
        writer.add_bos_token_id(bos)
    writer.add_add_bos_token(bos is not None)
    writer.add_tensor("token_embd.weight", np.zeros((size, 8), np.float32))
    writer.add_tensor("output_norm.weight", np.ones(8, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def moult(model, text, *options):
    with tempfile.NamedTemporaryFile("w", suffix=".txt", newline="") as file:
        file.write(text)
        file.flush()
        result = subprocess.run([EXECUTABLE, "debug-tokens", model, "--data", file.name, "--special", *options],
                                capture_output=True, text=False)
    return result.stdout.decode() if result.returncode == 0 else None, result.stderr.decode().strip()


def compare(what, model, tokenizer, text):
    """Prints how far Moult agrees with `tokenizers`; returns whether it does."""
    expected = tokenizer.encode(text).ids
    output, error = moult(model, text)
    if output is None:
        print(f"{what}: {error}")
        return False
    found = json.loads(output)
    if found != expected:
        place = next((i for i, pair in enumerate(zip(found, expected)) if pair[0] != pair[1]), min(len(found), len(expected)))
        around = slice(max(place - 4, 0), place + 6)
        print(f"{what}: {len(expected)} tokens, the first that differs is number {place}:\n  tokenizers "
              f"{[tokenizer.id_to_token(id) for id in expected[around]]}\n  moult      "
              f"{[tokenizer.id_to_token(id) for id in found[around]]}")
        return False
    back, error = moult(model, text, "--decode")
    # Standard output of a text file ends as the text does.
    decoded = tokenizer.decode(expected, skip_special_tokens=False)
    if back != decoded:
        back = back if back is not None else error
        place = next((i for i, pair in enumerate(zip(back, decoded)) if pair[0] != pair[1]), min(len(back), len(decoded)))
        print(f"{what}: the text differs from character {place}:\n  tokenizers {decoded[max(place - 20, 0):place + 20]!r}\n"
              f"  moult      {back[max(place - 20, 0):place + 20]!r}")
        return False
    print(f"{what}: {len(expected)} tokens and {len(decoded)} characters are equal")
    return True


def main():
    text = "\n".join(Path(path).read_bytes().decode() for path in sys.argv[1:]).replace("\r\n", "\n")
    # Its beginning, and parts of all of it.
    corpus = [text[i:i + 2000] for i in range(0, len(text), max(2000, len(text) // 700))]
    failures = 0
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        for name, words, normalizer, added, properties, pre in BYTE_LEVEL:
            tokenizer = byte_level(corpus, words, normalizer, added, properties)
            mixed = strewn(text, added, random.Random(name))
            failures += not compare(name, write_folder(place / name.replace(" ", "-"), tokenizer), tokenizer, mixed)
            if pre:
                file = write_gguf(place / f"{name}.gguf".replace(" ", "-"), tokenizer, pre, False, properties.get("bos"))
                failures += not compare(f"{name}, GGUF as {pre}", file, tokenizer, mixed)
        for name, normalizer, words, decoder, added, begins, model in SENTENCE_PIECE:
            tokenizer = sentence_piece(corpus, normalizer, words, decoder, added, begins)
            mixed = strewn(text, added, random.Random(name))
            failures += not compare(name, write_folder(place / name.replace(" ", "-"), tokenizer), tokenizer, mixed)
            if model:
                file = write_gguf(place / f"{name}.gguf".replace(" ", "-"), tokenizer, model, True,
                                  added[1].content if begins else None)
                failures += not compare(f"{name}, GGUF as {model}", file, tokenizer, mixed)
    print(f"{failures} differences")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
