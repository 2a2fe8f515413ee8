import Models

/// States after beginnings of sequences, in memory: the longest one that a prompt begins with spares reading it again.
/// The least recently used go when the budget is spent. Used on one thread.
struct PrefixStates {
    /// A state after some tokens, and the logits of the token that follows.
    final class Entry {
        let tokens: [Int32]
        let state: DecoderState
        let logits: [Float]
        /// Whether going on is bit for bit as reading the whole: the state was read in whole segments from the beginning.
        let isExact: Bool
        fileprivate var used: UInt64 = 0

        init(tokens: [Int32], state: DecoderState, logits: [Float], isExact: Bool) {
            (self.tokens, self.state, self.logits, self.isExact) = (tokens, state, logits, isExact)
        }

        var byteCount: Int { state.byteCount + 4 * (logits.count + tokens.count) }
    }

    private struct Key: Hashable {
        var scope: String
        var digest: TokenDigest
        var count: Int
    }

    /// Bytes that the entries may take.
    let budget: Int
    private var entries: [Key: Entry] = [:]
    /// How many entries there are of each length, so that most lengths need no look.
    private var lengths: [Int: Int] = [:]
    private(set) var byteCount = 0
    private var clock: UInt64 = 0
    var count: Int { entries.count }

    init(budget: Int) { self.budget = budget }

    /// The entry after the longest stored beginning of `prompt`.
    /// - Parameter exactOnly: takes only what makes no difference to the result: a state of whole segments, or one after all of
    ///   a prompt that was read so.
    mutating func longest(of prompt: [Int32], scope: String, exactOnly: Bool) -> Entry? {
        guard !entries.isEmpty else { return nil }
        var digest = TokenDigest()
        var found: Entry?
        for (index, token) in prompt.enumerated() {
            digest.append(CollectionOfOne(token))
            guard lengths[index + 1] != nil,
                let entry = entries[Key(scope: scope, digest: digest, count: index + 1)],
                entry.tokens.elementsEqual(prompt[...index])
            else { continue }
            let isWhole = index + 1 == prompt.count
            let isGrid = (index + 1).isMultiple(of: GenerationSession.segment)
            if !exactOnly || entry.isExact && (isWhole || isGrid) { found = entry }
        }
        clock += 1
        found?.used = clock
        return found
    }

    /// Keeps a state, in place of an older one after the same tokens unless that one is exact.
    mutating func insert(
        _ entry: @autoclosure () throws -> Entry, tokens: [Int32], scope: String, isExact: Bool
    ) rethrows {
        guard budget > 0 else { return }
        var digest = TokenDigest()
        digest.append(tokens)
        let key = Key(scope: scope, digest: digest, count: tokens.count)
        clock += 1
        if let old = entries[key] {
            if old.isExact || !isExact { return old.used = clock }
            remove(key)
        }
        let entry = try entry()
        guard entry.byteCount <= budget else { return }
        entry.used = clock
        entries[key] = entry
        lengths[tokens.count, default: 0] += 1
        byteCount += entry.byteCount
        while byteCount > budget, let oldest = entries.min(by: { $0.value.used < $1.value.used }) {
            remove(oldest.key)
        }
    }

    private mutating func remove(_ key: Key) {
        guard let entry = entries.removeValue(forKey: key) else { return }
        byteCount -= entry.byteCount
        lengths[key.count] = lengths[key.count].flatMap { $0 > 1 ? $0 - 1 : nil }
    }
}
