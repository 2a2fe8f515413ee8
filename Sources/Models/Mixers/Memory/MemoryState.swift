import Tensors

/// What a layer with a ``MemoryMixer`` knows of its sequences: the memory's tensors, with a window the keys and values of the
/// last tokens, and those that kept heads see.
final class MemoryState: MixerState {
    var memory: MemoryTensors
    let window: (any AttentionCache)?
    let kept: (any AttentionCache)?
    /// What rows in training have left to the next.
    var next: MemoryTensors?
    /// Whether recorded work reads the tensors where they are.
    private let staysInPlace: Bool
    /// Whether others hold the tensors' own memory, which is then left to them.
    private var isShared = false

    init(
        memory: MemoryTensors, window: (any AttentionCache)?, kept: (any AttentionCache)?, staysInPlace: Bool = false
    ) {
        (self.memory, self.window, self.kept, self.staysInPlace) = (memory, window, kept, staysInPlace)
    }

    private var caches: [any AttentionCache] { [window, kept].compactMap { $0 } }

    /// Goes on with what `body` makes of the tensors.
    func update<Result>(_ body: (inout MemoryTensors) throws -> Result) throws -> Result {
        guard staysInPlace, !isShared else {
            isShared = false
            return try body(&memory)
        }
        return try memory.stayingInPlace(body)
    }

    /// What `body` reads with the tensors of `state`, which go on: after the call, or when rows in training are done. None for whole
    /// sequences, which nothing follows.
    static func read<Result>(
        _ state: MemoryState?, _ context: MixerContext, _ body: (inout MemoryTensors) throws -> Result
    ) throws -> Result {
        guard let state else {
            var none = MemoryTensors()
            return try body(&none)
        }
        guard let carried = context.carried else { return try state.update(body) }
        // What is here changes when the rows are done, so that a layer may be computed again.
        var running = try state.memory.map { try $0.carriedState(carried) }
        let result = try body(&running)
        state.next = running.map(\.detached)
        return result
    }

    var byteCount: Int { caches.reduce(memory.byteCount) { $0 + $1.byteCount } }

    func copy() -> MixerState {
        isShared = true
        let fork = MemoryState(
            memory: memory, window: window?.copy() as? any AttentionCache, kept: kept?.copy() as? any AttentionCache,
            staysInPlace: staysInPlace)
        fork.isShared = true
        return fork
    }

    func undo() -> () -> Void {
        isShared = true
        return { [self, memory, caches = caches.map { $0.undo() }] in
            self.memory = memory
            isShared = true
            for undo in caches { undo() }
        }
    }

    func advance() throws {
        if let next { try memory.take(next) }
        next = nil
        for cache in caches { try cache.advance() }
    }

    func reserve(_ positions: Int, count: Int) throws {
        for cache in caches { try cache.reserve(positions, count: count) }
    }

    func put(_ other: any MixerState, at row: Int, count: Int) throws {
        let other = try other.required(as: MemoryState.self)
        try memory.put(other.memory, at: row)
        for (own, other) in zip(caches, other.caches) { try own.put(other, at: row, count: count) }
    }

    func taken(_ row: Int) throws -> any MixerState {
        MemoryState(
            memory: try memory.map { try $0.taken(row) }, window: try window?.taken(row) as? any AttentionCache,
            kept: try kept?.taken(row) as? any AttentionCache, staysInPlace: staysInPlace)
    }

    func captured(in step: CapturedStep) throws -> any MixerState {
        MemoryState(
            memory: try memory.map { try step.state(like: $0) },
            window: try window?.captured(in: step) as? any AttentionCache,
            kept: try kept?.captured(in: step) as? any AttentionCache, staysInPlace: true)
    }

    func bind(to place: any MixerState, row: Int) throws {
        let place = try place.required(as: MemoryState.self)
        try memory.bind(to: place.memory, row: row)
        for (own, place) in zip(caches, place.caches) { try own.bind(to: place, row: row) }
    }

    func store(in snapshot: inout StateSnapshot, prefix: String) throws {
        for (name, tensor) in memory.all {
            try snapshot.append("\(prefix)\(name)", tensor.to(.cpu).converted(to: .float32))
        }
        try window?.store(in: &snapshot, prefix: "\(prefix)window.")
        try kept?.store(in: &snapshot, prefix: "\(prefix)kept.")
    }

    func restore(_ snapshot: StateSnapshot, prefix: String) throws {
        for (name, tensor) in memory.all {
            memory[name] = try snapshot.tensor("\(prefix)\(name)", shape: tensor.shape)
                .converted(to: tensor.dtype).to(tensor.device)
        }
        try window?.restore(snapshot, prefix: "\(prefix)window.")
        try kept?.restore(snapshot, prefix: "\(prefix)kept.")
    }
}
