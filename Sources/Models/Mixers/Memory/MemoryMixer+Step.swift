import Tensors

/// One token of each of several sequences, recorded for the processor.
extension MemoryMixer {
    public func record(
        _ step: RecordedStep, input: RecordedStep.Rows, angles: StepAngles
    ) throws -> (joined: RecordedStep.Rows, binding: StateBinding) {
        let (output, kind) = (projections.outputMap, projections.kind)
        let inputs = try step.linear(input, maps: inputMaps)
        let all = try projections.heads(step, inputs, angles: angles.mixer(kind))
        let heads = all.only(ownHeads), isAlone = span == nil && keptHeads == nil
        let maps = Array(inputs[3..<3 + memory.inputMaps.count])
        let read = memory.isRotated ? heads : heads.turned(by: nil)
        let remembered = try remember(
            step, read, maps: maps, input: input, readers: isAlone ? [output.weight] : [])
        var caches, keptCaches: RecordedStep.CacheTable?
        var window: RecordedStep.Rows?
        if let span { (window, caches) = try step.attention(heads, most: span.most) }
        // Kept heads lie beside those of the window, or, where there is none, of the memory.
        if let keptHeads {
            let kept = all.only(keptHeads).turned(by: angles.kept(kind))
            keptCaches = try step.attention(kept, into: window ?? remembered.out, most: keptSpan.most).caches
        }
        let joined =
            isAlone && remembered.isFinished
            ? remembered.out
            : try step.join(
                remembered.out, window: window.map { ($0, inputs[inputs.count - 1]) }, heads: heads,
                readers: [output.weight])
        let binding: StateBinding = { [caches, keptCaches] state, row in
            let state = try state.required(as: MemoryState.self)
            try remembered.bind(state, row)
            if let caches { try state.window?.required(as: KeyValueCache.self).bind(to: caches, row: row) }
            if let keptCaches { try state.kept?.required(as: KeyValueCache.self).bind(to: keptCaches, row: row) }
        }
        return (joined, binding)
    }
}

/// The states of the rows of one layer of a run.
final class BoundStates {
    var states: [MemoryState?]

    private init(capacity: Int) { states = .init(repeating: nil, count: capacity) }

    /// Records a call of `body` for every row with the state that is bound to it.
    static func read(
        _ step: RecordedStep, _ body: @escaping (RecordedStep, _ row: Int, MemoryState) throws -> Void
    ) throws -> BoundStates {
        let bound = BoundStates(capacity: step.capacity)
        try step.call { step, rows in
            defer { bound.states = .init(repeating: nil, count: step.capacity) }
            for row in 0..<rows {
                guard let state = bound.states[row] else {
                    throw ModelError.input(expected: "a state for every row", found: "none for row \(row)")
                }
                try body(step, row, state)
            }
        }
        return bound
    }
}

extension MemoryMixer {
    /// What is bound before a run, and where its outputs are.
    private struct Remembered {
        let out: RecordedStep.Rows
        let isFinished: Bool
        let bind: (MemoryState, _ row: Int) throws -> Void
    }

    /// The memory's part: its own recorded form, or else the one for many tokens, called with one for each row.
    private func remember(
        _ step: RecordedStep, _ heads: RecordedStep.Heads, maps: [RecordedStep.Rows], input: RecordedStep.Rows,
        readers: [Tensor]
    ) throws -> Remembered {
        if let own = try memory.record(step, heads: heads, maps: maps, readers: readers) {
            return Remembered(out: own.out, isFinished: own.isFinished) { try own.bind(&$0.memory, $1) }
        }
        let out = try step.rows(width: projections.heads * projections.headDim)
        let bound = try BoundStates.read(step) { step, row, state in
            let read = try self.input(step, row, heads, maps: maps, input: input)
            try write(state.update { try memory(read, state: &$0) }, step, to: out, row)
        }
        return Remembered(out: out, isFinished: false) { bound.states[$1] = $0 }
    }

    /// What the memory reads of one row.
    private func input(
        _ step: RecordedStep, _ row: Int, _ heads: RecordedStep.Heads, maps: [RecordedStep.Rows],
        input: RecordedStep.Rows
    ) throws -> MemoryInput {
        let (all, dim) = (projections.keyValueHeads, projections.headDim)
        func own(_ rows: RecordedStep.Rows, _ count: Int, turned by: RotaryTable? = nil) throws -> Tensor {
            let whole = try step.tensor(row, of: rows, shape: [1, 1, count, dim])
            let own = try ownHeads.map { try whole.heads($0, of: all) } ?? whole
            return try by?(own) ?? own
        }
        let turn = try heads.angles.map {
            let (cosines, sines) = try $0.table(row: row, of: step)
            return RotaryTable(cosines: cosines, sines: sines)
        }
        return MemoryInput(
            q: try own(heads.q, projections.heads, turned: turn), k: try own(heads.k, all, turned: turn),
            v: try own(heads.v, all),
            maps: try maps.map { try step.tensor(row, of: $0, shape: [1, 1, $0.width]) },
            x: NormedInput(try step.tensor(row, of: input, shape: [1, 1, input.width])),
            MixerContext(turns: [], documents: nil))
    }

    /// Writes what the own heads read (1, 1, n · G, V) to their places.
    private func write(_ read: Tensor, _ step: RecordedStep, to out: RecordedStep.Rows, _ row: Int) throws {
        let (group, dim) = (projections.heads / projections.keyValueHeads, projections.headDim)
        let width = group * dim
        let flat = try read.reshaped([read.count])
        for (place, head) in (ownHeads?.heads ?? Array(0..<projections.keyValueHeads)).enumerated() {
            try step.write(flat.rows(place * width..<(place + 1) * width), to: out, row: row, from: head * width)
        }
    }
}
