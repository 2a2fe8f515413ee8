import Checkpoints
import Foundation
import Tokenizers

extension OutputFolder {
    /// Copies the tokenizer's files of a folder and its generation_config.json, or makes them from a .gguf file; returns
    /// their names.
    func writeTokenizer(of files: ModelFiles) throws -> [String] {
        var written = try [
            "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model", "vocab.json",
            "merges.txt", "added_tokens.json", "chat_template.jinja", "generation_config.json",
        ].filter { try copy($0, of: files) }
        if files.kind == .gguf, let tokenizer = try Tokenizer.load(files) {
            for (name, data) in tokenizer.huggingFaceFiles.named {
                try write(data, as: name)
                written.append(name)
            }
        }
        if !written.contains("generation_config.json") {
            // The special tokens, for a source that says no more.
            let keys = ["bos_token_id", "eos_token_id", "pad_token_id"]
            let pairs = files.configuration.huggingFaceJSON().pairs.filter {
                keys.contains($0.key) && $0.value != .null
            }
            try write(.object(Checkpoints.JSONObject(pairs.map { ($0.key, $0.value) })), as: "generation_config.json")
            written.append("generation_config.json")
        }
        return written
    }
}
