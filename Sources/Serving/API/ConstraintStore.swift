import Generation
import Support
import Synchronization
import Tokenizers

/// Constraints that were compiled lately, with what was found of them: clients ask by the same schema again and again.
final class ConstraintStore: Sendable {
    private struct State {
        var vocabulary: ConstraintVocabulary?
        /// The most recently used comes last.
        var constraints: [(identity: String, constraint: TokenConstraint)] = []
    }

    private let tokenizer: Tokenizer
    private let state = Mutex(State())

    /// So many constraints are kept.
    private static let capacity = 16

    init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

    /// The constraint of `form`, compiled on the thread that asks.
    /// - Throws: `ConstraintError`.
    func constraint(_ form: TextForm) throws -> TokenConstraint {
        let identity = form.identity
        let known = state.withLock { state -> TokenConstraint? in
            guard let place = state.constraints.firstIndex(where: { $0.identity == identity }) else { return nil }
            let entry = state.constraints.remove(at: place)
            state.constraints.append(entry)
            return entry.constraint
        }
        if let known { return known }
        let constraint = try TokenConstraint(form, vocabulary: vocabulary())
        state.withLock { state in
            state.constraints.append((identity, constraint))
            if state.constraints.count > Self.capacity { state.constraints.removeFirst() }
        }
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
