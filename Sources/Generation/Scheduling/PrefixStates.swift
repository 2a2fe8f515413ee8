import Models
import Support

/// States after beginnings of sequences: the longest one that a prompt begins with spares reading it again. They are in memory
/// and, where there is a folder, on the disk, within a budget each. Used on one thread.
struct PrefixStates {
    /// A state after some tokens, and the logits of the token that follows.
    final class Entry {
        let tokens: [Int32]
        /// Never read on with: copies are.
        let state: DecoderState
        let logits: [Float]
        /// Whether going on is bit for bit as reading the whole: the state was read in whole segments from the beginning.
        let isExact: Bool

        init(tokens: [Int32], state: DecoderState, logits: [Float], isExact: Bool) {
            (self.tokens, self.state, self.logits, self.isExact) = (tokens, state, logits, isExact)
        }

        convenience init(_ stored: StoredState, model: DecoderModel) throws {
            self.init(
                tokens: stored.tokens, state: try model.makeState(from: stored.snapshot), logits: stored.logits,
                isExact: stored.isExact)
        }

        var byteCount: Int { state.byteCount + 4 * (logits.count + tokens.count) }

        func stored() throws -> StoredState {
            StoredState(tokens: tokens, snapshot: try state.snapshot(), logits: logits, isExact: isExact)
        }
    }

    /// Where a state is that a prompt begins with.
    enum Place {
        case memory(Entry)
        case disk(StateKey)
    }

    private struct Key: Hashable {
        var scope: String
        var digest: TokenDigest
        var count: Int
    }

    /// Where states outlive the program.
    let folder: StateFolder?
    private var entries: RecentValues<Key, Entry>
    /// How many entries there are of each length, so that most lengths need no look.
    private var lengths: [Int: Int] = [:]
    /// What scopes are called in the folder.
    private var tags: [String: UInt64] = [:]

    var byteCount: Int { entries.byteCount }
    var count: Int { entries.count }

    /// - Parameter budget: bytes that the entries in memory may take.
    init(budget: Int, folder: StateFolder? = nil) {
        entries = RecentValues(budget: budget)
        self.folder = folder
    }

    /// Whether a state of that many bytes is small enough to be kept often.
    func isSmall(_ byteCount: Int) -> Bool { byteCount <= entries.budget / 32 }

    // MARK: Looking

    /// Where the states are that `prompt` begins with, that with the most tokens first.
    /// - Parameter exactOnly: takes only what makes no difference to the result: a state of whole segments, or one after all of
    ///   a prompt that was read so.
    mutating func places(of prompt: [Int32], scope: String, exactOnly: Bool) -> [Place] {
        let tag = self.tag(scope)
        var found: [Place] = []
        func look(_ index: BoundedFolder<StateKey>.Index?) {
            var digest = TokenDigest()
            for (place, token) in prompt.enumerated() {
                digest.append(CollectionOfOne(token))
                let count = place + 1
                func isRight(_ isExact: Bool) -> Bool {
                    let isGrid = count.isMultiple(of: GenerationSession.segment)
                    return !exactOnly || isExact && (count == prompt.count || isGrid)
                }
                if let folder, let index, index.has(group: count) {
                    for isExact in [false, true] where isRight(isExact) {
                        let key = folder.key(tag, digest, count, isExact: isExact)
                        if index.contains(key) { found.append(.disk(key)) }
                    }
                }
                if lengths[count] != nil,
                    let entry = entries.peek(Key(scope: scope, digest: digest, count: count)),
                    entry.tokens.elementsEqual(prompt[..<count]), isRight(entry.isExact)
                {
                    found.append(.memory(entry))
                }
            }
        }
        if let folder { folder.withIndex { look($0) } } else { look(nil) }
        return found.reversed()
    }

    /// The state becomes the one used last.
    mutating func use(_ entry: Entry, scope: String) { entries.use(key(entry.tokens, scope)) }

    /// The most tokens that `prompt` has in common with what a state in memory has read.
    func sharedBeginning(of prompt: [Int32], scope: String) -> Int {
        var most = 0
        prompt.withUnsafeBufferPointer { prompt in
            entries.forEach { key, entry in
                guard key.scope == scope, min(entry.tokens.count, prompt.count) > most else { return }
                entry.tokens.withUnsafeBufferPointer { tokens in
                    let limit = min(tokens.count, prompt.count)
                    // What has no more in common than another has nothing to tell.
                    guard tokens[most] == prompt[most] else { return }
                    var common = 0
                    while common < limit, tokens[common] == prompt[common] { common += 1 }
                    most = max(most, common)
                }
            }
        }
        return most
    }

    /// The state after all of `tokens` in memory.
    func entry(after tokens: [Int32], scope: String) -> Entry? {
        entries.peek(key(tokens, scope)).flatMap { $0.tokens == tokens ? $0 : nil }
    }

    // MARK: Keeping

    /// Keeps a state, in place of an older one after the same tokens unless that one is exact.
    /// - Parameters:
    ///   - entry: the state; made only where it is kept.
    ///   - onDisk: whether it is also written behind.
    mutating func insert(
        _ entry: @autoclosure () throws -> Entry, tokens: [Int32], scope: String, isExact: Bool, onDisk: Bool
    ) throws {
        let key = key(tokens, scope)
        let old = entries.peek(key)
        let isKnown = old.map { $0.isExact || !isExact } ?? false
        if isKnown { entries.use(key) }
        let file = onDisk ? folderKey(tokens, scope, isExact: isExact) : nil
        let isWritten = file.map { folder?.needs($0) != true } ?? true
        guard !isKnown || !isWritten else { return }
        let entry = try isKnown ? old ?? entry() : entry()
        if !isKnown { put(entry, key) }
        if !isWritten, let file, let folder { folder.write(try entry.stored(), for: file) }
    }

    /// Keeps a state in memory, as ``insert(_:tokens:scope:isExact:onDisk:)`` does.
    mutating func adopt(_ entry: Entry, scope: String) {
        let key = key(entry.tokens, scope)
        if let old = entries.peek(key), old.isExact || !entry.isExact {
            entries.use(key)
        } else {
            put(entry, key)
        }
    }

    /// Forgets the state after all of `tokens`, in memory and on the disk.
    /// - Returns: whether there was one.
    @discardableResult
    mutating func remove(_ tokens: [Int32], scope: String) -> Bool {
        let key = key(tokens, scope)
        var isFound = entries.peek(key) != nil
        drop(key)
        for isExact in [false, true] {
            guard let folder, let file = folderKey(tokens, scope, isExact: isExact),
                folder.withIndex({ $0.contains(file) })
            else { continue }
            folder.remove(file)
            isFound = true
        }
        return isFound
    }

    /// The key of a state's file; nil without a folder.
    mutating func folderKey(_ tokens: [Int32], _ scope: String, isExact: Bool) -> StateKey? {
        guard let folder else { return nil }
        return folder.key(tag(scope), key(tokens, scope).digest, tokens.count, isExact: isExact)
    }

    private mutating func tag(_ scope: String) -> UInt64 {
        guard let folder else { return 0 }
        if let tag = tags[scope] { return tag }
        let tag = folder.tag(scope)
        tags[scope] = tag
        return tag
    }

    private func key(_ tokens: [Int32], _ scope: String) -> Key {
        var digest = TokenDigest()
        digest.append(tokens)
        return Key(scope: scope, digest: digest, count: tokens.count)
    }

    private mutating func put(_ entry: Entry, _ key: Key) {
        drop(key)
        lengths[key.count, default: 0] += 1
        for gone in entries.insert(entry, for: key, bytes: entry.byteCount) { leave(gone.key.count) }
    }

    private mutating func drop(_ key: Key) { if entries.remove(key) != nil { leave(key.count) } }

    private mutating func leave(_ count: Int) {
        lengths[count] = lengths[count].flatMap { $0 > 1 ? $0 - 1 : nil }
    }
}
