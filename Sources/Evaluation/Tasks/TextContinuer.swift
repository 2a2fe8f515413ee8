import Tokenizers

/// What goes on with a text: a model, on whatever device it runs.
public protocol TextContinuer {
    /// Continues `prompt` with the likeliest token, again and again: until the model ends its text, `limit` tokens are
    /// picked, or `isEnough` holds of the text so far, the prompt left out.
    /// - Parameters:
    ///   - prompt: at least one token.
    ///   - progress: called now and then; throwing stops.
    func continuation(
        of prompt: [Int32], limit: Int, tokenizer: Tokenizer, until isEnough: (String) -> Bool,
        progress: () throws -> Void
    ) throws -> String
}
