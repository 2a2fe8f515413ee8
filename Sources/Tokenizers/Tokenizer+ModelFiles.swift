import Checkpoints
import Foundation

extension Tokenizer {
    /// The tokenizer of a model: tokenizer.json of a folder, or the metadata of a .gguf file. Nil when there is none.
    ///
    /// - Throws: ``TokenizerError`` when there is one that this library cannot follow exactly.
    public static func load(_ files: ModelFiles) throws -> Tokenizer? {
        guard let metadata = files.gguf else {
            guard files.file("tokenizer.json") != nil else { return nil }
            return try load(directory: URL(fileURLWithPath: files.path))
        }
        guard try metadata.string("tokenizer.ggml.model") != nil else { return nil }
        return try Tokenizer(GGUFVocabulary(GGUFTokenizer(metadata)))
    }
}

extension GGUFVocabulary {
    /// The vocabulary as a checkpoint's metadata gives it.
    init(_ stored: GGUFTokenizer) {
        self.init(
            model: stored.model, preTokenizer: stored.pre ?? "default", tokens: stored.tokens,
            tokenTypes: stored.tokenTypes, merges: stored.merges, bosToken: stored.bosToken, eosToken: stored.eosToken,
            unknownToken: stored.unknownToken, paddingToken: stored.padToken, addsBOS: stored.addBOS ?? false,
            addsEOS: stored.addEOS ?? false, addsSpacePrefix: stored.addSpacePrefix ?? false,
            chatTemplate: stored.chatTemplate)
    }
}
