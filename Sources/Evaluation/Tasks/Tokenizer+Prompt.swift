import Tokenizers

extension Tokenizer {
    /// The tokens of a text that a model is asked about: with those with which every text begins, without those with which one ends.
    func promptTokens(_ text: String) throws -> [Int32] {
        try textPrefix + encode(text, addSpecialTokens: false)
    }
}
