import Generation
import Support
import Synchronization
import Tokenizers

/// Constraints that were compiled lately, with what was found of them: clients ask by the same schema again and again.
final class ConstraintStore: Sendable {
    private struct State {
        var vocabulary: ConstraintVocabulary?
        /// Each counts as one byte.
        var constraints = RecentValues<String, TokenConstraint>(budget: 16)
    }

    private let tokenizer: Tokenizer
    private let state = Mutex(State())

    init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

    /// The constraint of `form`, compiled on the thread that asks.
    /// - Throws: `ConstraintError`.
    func constraint(_ form: TextForm) throws -> TokenConstraint {
        let identity = form.identity
        if let known = state.withLock({ $0.constraints.use(identity) }) { return known }
        let constraint = try TokenConstraint(form, vocabulary: vocabulary())
        state.withLock { _ = $0.constraints.insert(constraint, for: identity, bytes: 1) }
        return constraint
    }

    /// The vocabulary, read when it is first needed.
    private func vocabulary() -> ConstraintVocabulary {
        state.withLock { state in
            let vocabulary = state.vocabulary ?? ConstraintVocabulary(tokenizer)
            state.vocabulary = vocabulary
            return vocabulary
        }
    }
}
