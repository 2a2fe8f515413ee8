import Tensors

/// Places for R sequences whose tokens a GPU reads together, each at a position of its own. All kernels of a token are recorded
/// once, over the memory of these places, and stay what they are while sequences come and go.
final class DeviceSlots {
    /// R.
    let rows: Int
    private let model: DecoderModel
    private let layers: [any MixerState]
    private let tokens: DecodingRows
    private let angles: DeviceAngles
    private var seats: [Seat]
    /// Positions that every row has room for.
    private(set) var room = 0
    /// What the GPU holds of ``DecodingRows``.
    private var known: (ids: [Int32], positions: [Int32], taking: [Int32])
    private var works: [Farness: Work] = [:]
    /// Logits (R, vocabulary) of the last step.
    private var logits: Tensor?

    private struct Seat { weak var state: DecoderState? }

    /// The kernels of a token. The first is done by hand, which compiles them; what it left is read no more when it is recorded.
    private struct Work {
        var graph: (any RecordedWork)?
        var logits: Tensor
    }

    init(_ model: DecoderModel, rows: Int) throws {
        (self.model, self.rows) = (model, rows)
        layers = try model.blocks.map { try $0.mixer.makeState(rows: rows, cache: model.cacheType) }
        tokens = try DecodingRows(rows: rows, on: model.device)
        angles = try DeviceAngles(model.positions, rows: rows, on: model.device)
        seats = .init(repeating: Seat(), count: rows)
        let zeros = [Int32](repeating: 0, count: rows)
        known = (zeros, zeros, zeros)
    }

    var byteCount: Int { layers.reduce(0) { $0 + $1.byteCount } }

    // MARK: Sequences

    /// Row `row` becomes the sequence of `layers`.
    func put(_ layers: [any MixerState], of state: DecoderState, at row: Int) throws {
        for (own, other) in zip(self.layers, layers) { try own.put(other, at: row, count: state.position) }
        seats[row].state = state
    }

    /// States of their own of the sequence in `row`.
    func taken(_ row: Int) throws -> [any MixerState] { try layers.map { try $0.taken(row) } }

    /// `row` may be had by others.
    func free(_ row: Int) { seats[row].state = nil }

    /// The rows of `states`, which get seats where they have none here; all others leave.
    private func seat(_ states: [DecoderState]) throws -> [Int] {
        let taking = Set(states.map(ObjectIdentifier.init))
        for state in seats.compactMap(\.state) where !taking.contains(ObjectIdentifier(state)) {
            _ = try state.layers()
        }
        return try states.map { state in
            if let seat = state.seat, seat.slots === self { return seat.row }
            guard let row = seats.firstIndex(where: { $0.state == nil }) else {
                throw ModelError.input(expected: "at most \(rows) sequences", found: "\(states.count)")
            }
            try state.sit(in: self, row: row)
            return row
        }
    }

    /// Makes room for `positions` tokens of each sequence and some more, of which they have read up to `count`. That moves memory, so
    /// that work is recorded anew.
    private func reserve(_ positions: Int, count: Int) throws {
        guard positions > room else { return }
        let held = min(count, room)
        room = DecoderState.room(for: positions + positions / 4, instead: room)
        let before = byteCount
        for layer in layers { try layer.reserve(room, count: held) }
        if byteCount != before { (works, logits) = ([:], nil) }
    }

    // MARK: Steps

    /// Reads `ids[i]` after what `states[i]` has seen.
    /// - Returns: their rows.
    func read(_ ids: [Int32], states: [DecoderState]) throws -> [Int] {
        let last = states.map(\.position).max() ?? 0
        // Seats are taken by what is held now; those who are here have no more than there is room for.
        try reserve(last + 1, count: seats.compactMap(\.state?.position).max() ?? 0)
        let places = try seat(states)
        var isFar = Farness()
        var next = known
        (next.positions, next.taking) = (.init(repeating: 0, count: rows), .init(repeating: 0, count: rows))
        for (index, row) in places.enumerated() {
            let position = states[index].position
            (next.ids[row], next.positions[row], next.taking[row]) = (ids[index], Int32(position), 1)
            try angles.set(row: row, position: position)
            isFar.mixer = isFar.mixer || model.positions.isFar(position)
            isFar.kept = isFar.kept || model.positions.kept?.isFar(position) ?? false
        }
        if next.ids != known.ids { try tokens.ids.overwrite(next.ids) }
        if next.positions != known.positions { try tokens.positions.overwrite(next.positions) }
        if next.taking != known.taking { try tokens.taking.overwrite(next.taking) }
        known = next
        try run(isFar)
        for (position, taking) in next.taking.enumerated() { known.positions[position] += taking }
        for state in states { state.position += 1 }
        return places
    }

    private func run(_ isFar: Farness) throws {
        if var work = works[isFar] {
            if work.graph == nil {
                work.graph = try model.device.record { work.logits = try give(isFar) }
                works[isFar] = work
            }
            try work.graph?.run()
            logits = work.logits
        } else {
            let work = Work(logits: try give(isFar))
            works[isFar] = work
            logits = work.logits
        }
    }

    /// Gives the GPU the work of one token of each sequence.
    private func give(_ isFar: Farness) throws -> Tensor {
        var context = MixerContext(turns: try angles.turns(tokens.positions, isFar: isFar), documents: nil)
        context.recordedPositions = tokens.positions
        let logits = try model.hidden(DecoderRun(ids: tokens.ids, context, states: layers)).tensor()
            .logits(head: model.head, cap: model.logitCap)
            .reshaped([rows, model.configuration.decoder.vocabularySize])
        try tokens.advance()
        return logits
    }

    /// The logits (vocabulary) of `row` of the last step.
    func logits(_ row: Int) throws -> Tensor {
        guard let logits else { throw ModelError.input(expected: "a step that was done", found: "none") }
        return try logits.rows(row..<row + 1)
    }

    /// Picks the tokens that follow in `places`; nil for one whose logits are not finite.
    func pick(_ choices: [TokenChoice], places: [Int]) throws -> [Int32?] {
        guard let logits else { throw ModelError.input(expected: "a step that was done", found: "none") }
        var all = [TokenChoice](repeating: TokenChoice(), count: rows)
        for (choice, row) in zip(choices, places) { all[row] = choice }
        let picked = try tokens.pick(all, from: logits)
        known.ids = picked.map { max($0, 0) }
        return places.map { picked[$0] < 0 ? nil : picked[$0] }
    }
}
