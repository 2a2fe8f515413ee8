import Tokenizers

extension Tokenizer {
    /// The tokens that end a text of a model whose configuration names `eosTokens`.
    public func stops(_ eosTokens: [Int]) -> Set<Int32> {
        Set(eosTokens.map { Int32(truncatingIfNeeded: $0) } + (eosToken.map { [$0] } ?? []))
    }
}
