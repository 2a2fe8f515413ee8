import Models

/// What the last sequence of a slot has left.
struct SlotContents {
    var scope: String
    /// All tokens after which its state was kept.
    var tokens: [Int32]
}

extension Scheduler {
    /// A place among the running sequences, which remembers where the last one that had it has ended.
    public struct Slot: Sendable, Equatable {
        /// From 0 on.
        public let id: Int
        /// Whether a sequence is being continued there.
        public let isProcessing: Bool
        /// Tokens after which it ended; 0 when it did not, or belongs to somebody else.
        public let tokens: Int
    }

    /// All slots, as `scope` may see them.
    /// - Throws: ``SchedulerError/stopping``.
    public func slots(scope: String) async throws -> [Slot] {
        try await perform { engine in
            let busy = Set(engine.running.filter { !$0.isOver }.map(\.slot))
            return engine.slots.enumerated().map { id, contents in
                let own = contents.flatMap { $0.scope == scope ? $0.tokens.count : nil }
                return Slot(id: id, isProcessing: busy.contains(id), tokens: own ?? 0)
            }
        }
    }

    /// The state that a slot remembers; nil when it has none of `scope`, or that is no longer kept.
    package func state(ofSlot slot: Int, scope: String) async throws -> StoredState? {
        let tokens = try await perform { engine in engine.slots[slot].flatMap { $0.scope == scope ? $0.tokens : nil } }
        guard let tokens else { return nil }
        return try await state(after: tokens, scope: scope)
    }

    /// Makes a slot forget its state, which is then kept nowhere.
    /// - Returns: the number of tokens after which it was.
    package func eraseSlot(_ slot: Int, scope: String) async throws -> Int {
        try await perform { engine in
            guard let contents = engine.slots[slot], contents.scope == scope else { return 0 }
            engine.slots[slot] = nil
            engine.states.remove(contents.tokens, scope: scope)
            return contents.tokens.count
        }
    }

    /// The state after all of `tokens`, in memory or on the disk.
    package func state(after tokens: [Int32], scope: String) async throws -> StoredState? {
        enum Found: Sendable { case memory(StoredState), disk([StateKey]) }
        let found = try await perform { engine -> Found in
            if let entry = engine.states.entry(after: tokens, scope: scope) { return .memory(try entry.stored()) }
            return .disk([true, false].compactMap { engine.states.folderKey(tokens, scope, isExact: $0) })
        }
        switch found {
        case .memory(let state): return state
        case .disk(let keys):
            for key in keys {
                if let state = await folder?.state(key), state.tokens == tokens { return state }
            }
            return nil
        }
    }

    /// Keeps a state that comes from elsewhere, so that prompts of `scope` may go on from it.
    /// - Parameters:
    ///   - slot: that remembers it; nil for none.
    ///   - isDurable: whether it is kept in the folder too, and there when this returns.
    /// - Throws: `ModelError` for a state that is not one of the model's.
    package func keep(_ state: StoredState, scope: String, slot: Int? = nil, isDurable: Bool) async throws {
        let key = try await perform { engine in
            let entry = try PrefixStates.Entry(state, model: engine.model)
            engine.states.adopt(entry, scope: scope)
            if let slot { engine.slots[slot] = SlotContents(scope: scope, tokens: state.tokens) }
            return engine.states.folderKey(state.tokens, scope, isExact: state.isExact)
        }
        guard isDurable, let folder, let key else { return }
        await withCheckedContinuation { continuation in
            folder.writeNow((state, key), done: { continuation.resume() })
        }
    }

    /// Forgets the state after all of `tokens`, in memory and on the disk.
    package func forget(_ tokens: [Int32], scope: String) async throws {
        try await perform { engine in _ = engine.states.remove(tokens, scope: scope) }
    }

    /// What the memories of all layers do with `token` after all of `tokens`; nil where the state after those is not in memory.
    package func memoryUses(of token: Int32, after tokens: [Int32], scope: String) async throws -> [MemoryUse]? {
        try await perform { engine in
            let state =
                try tokens.isEmpty
                ? engine.model.makeState() : engine.states.entry(after: tokens, scope: scope)?.state.copy()
            return try state.map { try engine.model.memoryUses(of: token, state: $0) }
        }
    }

    /// Runs `body` on the model's thread, between two of its works.
    private func perform<Value: Sendable>(
        _ body: @escaping @Sendable (SchedulingEngine) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            inbox.add { engine in
                guard let engine else { return continuation.resume(throwing: SchedulerError.stopping) }
                continuation.resume(with: Result { try body(engine) })
            }
        }
    }
}
