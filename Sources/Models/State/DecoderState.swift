import Tensors

/// Everything a model remembers of one sequence, or of several that are read in step: one state per layer and the number
/// of tokens seen.
public final class DecoderState {
    /// Sequences that are read in step, B.
    public let rows: Int
    /// Tokens of each sequence that were read.
    public internal(set) var position = 0
    let layerCount: Int
    /// None while the sequence has a seat.
    private var own: [any MixerState]
    /// Where a step on a GPU holds the sequence.
    private(set) var seat: (slots: DeviceSlots, row: Int)?
    /// Positions that there is room for.
    private var room = 0

    init(rows: Int, layers: [any MixerState]) { (self.rows, own, layerCount) = (rows, layers, layers.count) }

    /// The states of the layers, taken back from a step on a GPU that holds them.
    func layers() throws -> [any MixerState] {
        guard let seat else { return own }
        own = try seat.slots.taken(seat.row)
        room = seat.slots.room
        seat.slots.free(seat.row)
        self.seat = nil
        return own
    }

    /// Hands the sequence over to row `row` of a step's slots, which have room for it.
    func sit(in slots: DeviceSlots, row: Int) throws {
        try slots.put(layers(), of: self, at: row)
        own = []
        seat = (slots, row)
    }

    /// Makes room for `positions` tokens in all, or more, where the state has not grown so far.
    public func reserve(_ positions: Int) throws {
        let layers = try layers()
        guard positions > room else { return }
        room = Self.room(for: positions, instead: room)
        for layer in layers { try layer.reserve(room, count: position) }
    }

    /// Room grows by doubling.
    static func room(for positions: Int, instead room: Int) -> Int { max(positions, 2 * room, 64) }

    /// Bytes held now.
    public var byteCount: Int {
        seat.map { $0.slots.byteCount / $0.slots.rows } ?? own.reduce(0) { $0 + $1.byteCount }
    }

    /// What brings the sequences back to where they are now, from within the next segment.
    func undo() throws -> () -> Void {
        let layers = try layers().map { $0.undo() }
        return { for undo in layers { undo() } }
    }

    /// An independent continuation of the same sequence.
    /// - Throws: `TensorError` when memory runs out on a GPU.
    public func copy() throws -> DecoderState {
        let fork = DecoderState(rows: rows, layers: try layers().map { $0.copy() })
        (fork.position, fork.room) = (position, room)
        return fork
    }
}
