import Checkpoints
import Foundation

extension Tokenizer {
    /// The tokenizer of a model: tokenizer.json of a folder, or the metadata of a .gguf file; where the latter has none that
    /// can be followed, the tokenizer.json beside it. Nil when there is none.
    ///
    /// - Throws: ``TokenizerError`` when there is one that this library cannot follow exactly.
    public static func load(_ files: ModelFiles) throws -> Tokenizer? {
        guard let metadata = files.gguf else {
            guard files.file("tokenizer.json") != nil else { return nil }
            return try load(directory: URL(fileURLWithPath: files.path))
        }
        let folder = URL(fileURLWithPath: files.path).deletingLastPathComponent()
        let file = folder.appendingPathComponent("tokenizer.json")
        let hasFile = FileManager.default.fileExists(atPath: file.path)
        do {
            if try metadata.string("tokenizer.ggml.model") != nil {
                var vocabulary = GGUFVocabulary(try GGUFTokenizer(metadata), file: metadata.file)
                vocabulary.architecture = try metadata.string("general.architecture")
                return try Tokenizer(vocabulary)
            }
        } catch let error as TokenizerError {
            guard case .unsupported = error, hasFile else { throw error }
        }
        return hasFile ? try load(directory: folder) : nil
    }
}

extension Tokenizer {
    /// The tokenizer of a model for what can do without one, or in words why there is none.
    public static func find(_ files: ModelFiles) -> (tokenizer: Tokenizer?, problem: String?) {
        do {
            let tokenizer = try load(files)
            return (tokenizer, tokenizer == nil ? "\(files.path): no tokenizer" : nil)
        } catch {
            return (nil, "\(error)")
        }
    }
}

extension GGUFVocabulary {
    /// The vocabulary as a checkpoint's metadata gives it.
    init(_ stored: GGUFTokenizer, file: String) {
        self.init(
            model: stored.model, preTokenizer: stored.pre ?? "default", tokens: stored.tokens,
            tokenTypes: stored.tokenTypes, merges: stored.merges, scores: stored.scores, bosToken: stored.bosToken,
            eosToken: stored.eosToken, unknownToken: stored.unknownToken, paddingToken: stored.padToken,
            addsBOS: stored.addBOS, addsEOS: stored.addEOS, addsSpacePrefix: stored.addSpacePrefix,
            chatTemplate: stored.chatTemplate)
        self.file = file
    }
}
