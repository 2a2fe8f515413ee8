import Checkpoints
import Foundation
import Tokenizers

extension Converter {
    /// Copies the tokenizer's files of a folder, or makes them from a .gguf file; returns their names.
    func writeTokenizer(to folder: URL) throws -> [String] {
        var written: [String] = []
        for name in [
            "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model", "vocab.json",
            "merges.txt", "added_tokens.json", "chat_template.jinja", "generation_config.json",
        ] {
            guard let path = files.file(name) else { continue }
            try Self.filing(name) {
                try FileManager.default.copyItem(atPath: path, toPath: folder.appendingPathComponent(name).path)
            }
            written.append(name)
        }
        if files.kind == .gguf, let tokenizer = try Tokenizer.load(files) {
            for (name, data) in tokenizer.huggingFaceFiles.named {
                try write(data, to: folder.appendingPathComponent(name))
                written.append(name)
            }
        }
        return written
    }
}
