import Checkpoints
import Foundation
import Support
import Tokenizers

extension OutputFolder {
    /// Copies the tokenizer's files of a folder and its generation_config.json, or makes them from a .gguf file. A tokenizer
    /// that cannot be made is no reason to stop: weights need none.
    /// - Returns: the names of the files, and what there is to say when there is no tokenizer among them.
    func writeTokenizer(of files: ModelFiles) throws -> (names: [String], warning: String?) {
        var written = try [
            "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model", "vocab.json",
            "merges.txt", "added_tokens.json", "chat_template.jinja", "generation_config.json",
        ].filter { try copy($0, of: files) }
        var warning: String?
        if files.kind == .gguf {
            let (tokenizer, problem) = Tokenizer.find(files)
            warning = problem
            for (name, data) in tokenizer?.huggingFaceFiles.named ?? [] {
                try write(data, as: name)
                written.append(name)
            }
        } else if !written.contains("tokenizer.json") {
            warning = "\(files.path): no tokenizer.json"
        } else if let problem = Tokenizer.find(files).problem {
            return (
                written + (try writeGenerationConfiguration(of: files, beside: written)),
                "\(problem); its files are copied as they are, but no text can be read with the result"
            )
        }
        written += try writeGenerationConfiguration(of: files, beside: written)
        return (written, warning.map { "\($0); to use the result with text, put tokenizer.json into its folder" })
    }

    /// Writes generation_config.json where the source has none.
    /// - Returns: its name, when it was written.
    private func writeGenerationConfiguration(of files: ModelFiles, beside written: [String]) throws -> [String] {
        guard !written.contains("generation_config.json") else { return [] }
        // The special tokens, for a source that says no more.
        let keys = ["bos_token_id", "eos_token_id", "pad_token_id"]
        let pairs = files.configuration.huggingFaceJSON().pairs.filter {
            keys.contains($0.key) && $0.value != .null
        }
        try write(.object(JSONObject(pairs.map { ($0.key, $0.value) })), as: "generation_config.json")
        return ["generation_config.json"]
    }
}
