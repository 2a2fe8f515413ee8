import CKernels

/// The mixers of a step.
extension CapturedStep {
    // MARK: Heads

    public func rope(
        _ x: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?
    ) throws -> Tensor {
        guard documents == nil, offset == 0, cosines.shape[0] == capacity, let inner = x.storage.captured else {
            throw Self.refused("positions that are not each row's own")
        }
        let turn = CapturedRows.Turn(cosines: try rows(cosines), sines: try rows(sines))
        return tensor(CapturedRows(memory, width: inner.width, .turned(inner, turn)), x.shape)
    }

    public func pickHeads(_ x: Tensor, _ heads: HeadSet, of count: Int) throws -> Tensor {
        let from = try rows(x)
        return tensor(
            CapturedRows(memory, width: from.width / count * heads.count, .picked(from, heads, of: count)),
            [x.shape[0], x.shape[1], x.shape[2] / count * heads.count, x.shape[3]])
    }

    public func joinHeads(_ some: Tensor?, _ others: Tensor?, by heads: HeadSet, of count: Int) throws -> Tensor {
        guard let some, let others else { throw Self.refused("joinHeads") }
        let shape = [some.shape[0], some.shape[1], some.shape[2] / heads.count * count, some.shape[3]]
        if let (first, second) = placed(some, others, heads, count) {
            // Both write parts of the earlier one's memory; the later one's rows are those that may be rounded when it is done.
            let (earlier, later) = first.order < second.order ? (first, second) : (second, first)
            later.move(to: earlier)
            return tensor(later, shape)
        }
        let parts = [(try rows(some), heads), (try rows(others), heads.complement(of: count))]
        let width = parts[0].0.width / heads.count
        let out = try CapturedRows(memory, width: width * count)
        for (part, set) in parts {
            try check(
                moult_step_copy_heads(memory.handle, part.pointer, set.bits, Int64(width), true, out.pointer), out.width
            )
        }
        out.pointer?.pointee.rounds = false
        return tensor(out, shape)
    }

    /// The rows in which the heads of both stand at their places.
    private func placed(
        _ some: Tensor, _ others: Tensor, _ heads: HeadSet, _ count: Int
    ) -> (CapturedRows, CapturedRows)? {
        guard case .placed(let first, heads, of: count)? = some.storage.captured?.form,
            case .placed(let second, heads.complement(of: count), of: count)? = others.storage.captured?.form
        else { return nil }
        return (first, second)
    }

    public func mix(_ x: Tensor, _ y: Tensor, logits: Tensor) throws -> Tensor {
        let share = try rows(logits)
        var job = moult_step_join()
        (job.heads, job.value_dim) = (Int64(x.shape[2]), Int64(x.shape[3]))
        job.share = UnsafePointer(share.pointer)
        if case .placed(let window, let set, let count)? = x.storage.captured?.form,
            case .placed(let other, set, of: count)? = y.storage.captured?.form
        {
            (job.x, job.window) = (UnsafePointer(other.pointer), UnsafePointer(window.pointer))
            (job.heads, job.key_value_heads) = (Int64(x.shape[2] / set.count * count), Int64(count))
            job.set = set.bits
            let out = try withExtendedLifetime(share) {
                try make(width: window.width) { moult_step_join(memory.handle, &job, $0) }
            }
            return tensor(CapturedRows(memory, width: share.width * x.shape[3], .placed(out, set, of: count)), x.shape)
        }
        let (window, other) = (try rows(x), try rows(y))
        (job.x, job.window) = (UnsafePointer(other.pointer), UnsafePointer(window.pointer))
        return try withExtendedLifetime((share, window, other)) {
            tensor(try make(width: window.width) { moult_step_join(memory.handle, &job, $0) }, x.shape)
        }
    }

    /// Heads as a mixer reads them: turned, activated and picked by itself.
    private struct Heads {
        var q, k, v: CapturedRows
        var turn: CapturedRows.Turn?
        var isActivated = false
        var set: HeadSet?
        var count: Int

        /// Puts the outputs where the heads stand.
        func output(_ rows: CapturedRows, _ memory: StepMemory, width: Int) -> CapturedRows {
            set.map { CapturedRows(memory, width: width, .placed(rows, $0, of: count)) } ?? rows
        }

        func job(keyDim: Int, valueDim: Int, scale: Float, cap: Float?) -> moult_step_heads {
            var job = moult_step_heads()
            (job.heads, job.key_value_heads) = (Int64(q.width / keyDim), Int64(count))
            (job.key_dim, job.value_dim, job.set) = (Int64(keyDim), Int64(valueDim), set?.bits ?? 0)
            (job.scale, job.cap, job.silu) = (scale, cap ?? 0, isActivated)
            (job.q, job.k, job.v) = (UnsafePointer(q.pointer), UnsafePointer(k.pointer), UnsafePointer(v.pointer))
            (job.cosines, job.sines) = (UnsafePointer(turn?.cosines.pointer), UnsafePointer(turn?.sines.pointer))
            return job
        }
    }

    /// What is done to `rows` before a mixer reads them, and to what.
    private static func unwrapped(
        _ rows: CapturedRows
    ) -> (CapturedRows, turn: CapturedRows.Turn?, activation: Activation?, picked: (HeadSet, of: Int)?) {
        var (rows, turn, activation) = (rows, CapturedRows.Turn?.none, Activation?.none)
        if case .turned(let inner, let by) = rows.form { (rows, turn) = (inner, by) }
        if case .activated(let inner, let by) = rows.form { (rows, activation) = (inner, by) }
        if case .picked(let inner, let set, let count) = rows.form { return (inner, turn, activation, (set, count)) }
        return (rows, turn, activation, nil)
    }

    /// - Parameter count: key/value heads of k and v.
    private func heads(q: Tensor, k: Tensor, v: Tensor, count: Int) throws -> Heads {
        if let q = q.storage.captured, let k = k.storage.captured, let v = v.storage.captured {
            let all = [q, k, v].map(Self.unwrapped)
            let isAlike = all.allSatisfy {
                $0.activation == all[0].activation && $0.picked?.0 == all[0].picked?.0
                    && $0.picked?.of == all[0].picked?.of
            }
            let isActivated = all[0].activation == .silu
            if isAlike, all[0].turn == all[1].turn, all[2].turn == nil, isActivated || all[0].activation == nil,
                !(isActivated && all[0].turn != nil)
            {
                return Heads(
                    q: try made(all[0].0), k: try made(all[1].0), v: try made(all[2].0), turn: all[0].turn,
                    isActivated: isActivated, set: all[0].picked?.0, count: all[0].picked?.of ?? count)
            }
        }
        return Heads(q: try rows(q), k: try rows(k), v: try rows(v), count: count)
    }

    // MARK: Softmax attention

    /// Attention of one token of each sequence, q (R, 1, H, K), k and v (R, 1, n, ·), over what `cache` holds and itself, which is
    /// then held too: (R, 1, H, V).
    func attention(
        q: Tensor, k: Tensor, v: Tensor, over cache: CapturedCache, scale: Float, cap: Float?, sinkQueries: Tensor?
    ) throws -> Tensor {
        let heads = try heads(q: q, k: k, v: v, count: cache.heads)
        var job = heads.job(keyDim: cache.keyDim, valueDim: cache.valueDim, scale: scale, cap: cap)
        if let sinks = sinkQueries?.storage.captured {
            // The same queries, turned by other angles.
            let (inner, turn, _, picked) = Self.unwrapped(sinks)
            guard try made(inner) === heads.q, picked?.0 == heads.set, let turn else {
                throw Self.refused("queries of their own for sinks")
            }
            (job.sink_cosines, job.sink_sines) = (
                UnsafePointer(turn.cosines.pointer), UnsafePointer(turn.sines.pointer)
            )
        }
        let out = try withExtendedLifetime(heads) {
            try make(width: heads.q.width / cache.keyDim * cache.valueDim) {
                job.out = $0
                return moult_step_attention(memory.handle, &job, cache.most.map(Int64.init) ?? .max, cache.entries)
            }
        }
        let width = q.shape[2] * cache.valueDim
        return tensor(heads.output(out, memory, width: width), Array(q.shape[..<3]) + [cache.valueDim])
    }

    public func attention(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, cap: Float?, span: AttentionSpan, sinkQueries: Tensor?,
        documents: Documents?
    ) throws -> (result: Tensor, saved: Tensor?) {
        let all = [q, k, v] + (sinkQueries.map { [$0] } ?? [])
        let result = try later(all, [Array(q.shape[..<3]) + [v.shape[3]]]) { given, _ in
            [
                try CPUBackend.shared.attention(
                    q: given[0], k: given[1], v: given[2], scale: scale, cap: cap, span: span,
                    sinkQueries: given.count > 3 ? given[3] : nil, documents: nil
                ).result
            ]
        }
        return (result[0], nil)
    }

    // MARK: Gated Slot Attention

    func gatedSlotStep(
        q: Tensor, k: Tensor, v: Tensor, gates: Tensor, divisor: Float, scale: Float, state: inout GatedSlotState
    ) throws -> Tensor {
        let slots = state.keys.shape[2]
        guard isKnownUniquelyReferenced(&state.keys.storage), isKnownUniquelyReferenced(&state.values.storage),
            case .state(let keys)? = state.keys.storage.captured?.form,
            case .state(let values)? = state.values.storage.captured?.form
        else {
            var running: GatedSlotState? = state
            let logGates = try logGate(gates, divisor: divisor).reshaped(Array(k.shape[..<3]) + [slots])
            let result = try gatedSlotAttention(
                q: q, k: k, v: v, logGates: logGates, scale: scale, state: &running, documents: nil
            ).result
            if let running { state = running }
            return result
        }
        let heads = try heads(q: q, k: k, v: v, count: k.shape[2]), gates = try rows(gates)
        let (keyDim, valueDim) = (k.shape[3], v.shape[3])
        var job = heads.job(keyDim: keyDim, valueDim: valueDim, scale: scale, cap: nil)
        let out = try withExtendedLifetime(heads) {
            try make(width: heads.q.width / keyDim * valueDim) {
                job.out = $0
                return moult_step_gated_slots(memory.handle, &job, gates.pointer, divisor, Int64(slots), keys, values)
            }
        }
        let width = q.shape[2] * valueDim
        return tensor(heads.output(out, memory, width: width), Array(q.shape[..<3]) + [valueDim])
    }

    public func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, state: inout GatedSlotState?,
        documents: Documents?
    ) throws -> (result: Tensor, saved: [Tensor]) {
        let output = Array(q.shape[..<3]) + [v.shape[3]]
        let before = state.map { [$0.keys, $0.values] } ?? []
        let results = try later([q, k, v, logGates] + before, [output] + before.map(\.shape)) { given, _ in
            var state = given.count > 4 ? GatedSlotState(keys: given[4], values: given[5]) : nil
            let result = try CPUBackend.shared.gatedSlotAttention(
                q: given[0], k: given[1], v: given[2], logGates: given[3], scale: scale, state: &state, documents: nil
            ).result
            return [result] + (state.map { [$0.keys, $0.values] } ?? [])
        }
        if state != nil { state = GatedSlotState(keys: results[1], values: results[2]) }
        return (results[0], [])
    }

    // MARK: Recurrences

    public func recurrence(_ inputs: Recurrence, state: inout Tensor?) throws -> (result: Tensor, saved: [Tensor]) {
        // Taken out, so that it has one owner and is written in place.
        guard var running = state.take() else {
            let results = try later(inputs.tensors, [inputs.outputShape]) { given, _ in
                var none: Tensor?
                return [try CPUBackend.shared.recurrence(inputs.with(given), state: &none).result]
            }
            return (results[0], [])
        }
        defer { state = running }
        guard isKnownUniquelyReferenced(&running.storage), case .state(let places)? = running.storage.captured?.form
        else {
            let results = try later(inputs.tensors + [running], [inputs.outputShape, running.shape]) { given, _ in
                var state: Tensor? = given[given.count - 1]
                let result = try CPUBackend.shared.recurrence(inputs.with(given.dropLast()), state: &state).result
                return [result] + (state.map { [$0] } ?? [])
            }
            running = results[1]
            return (results[0], [])
        }
        var job = moult_step_recurrence()
        (job.heads, job.key_value_heads) = (Int64(inputs.q.shape[2]), Int64(inputs.k.shape[2]))
        (job.key_dim, job.value_dim) = (Int64(inputs.k.shape[3]), Int64(inputs.v.shape[3]))
        (job.decay_dim, job.scale, job.states) = (Int64(inputs.logDecays.shape[3]), inputs.scale, places)
        let read = try inputs.tensors.map { try rows($0) }
        let pointers = read.map { UnsafePointer($0.pointer) }
        (job.q, job.k, job.v, job.log_decays) = (pointers[0], pointers[1], pointers[2], pointers[3])
        if inputs.betas != nil { job.betas = pointers[4] }
        if inputs.rankOne != nil { (job.a, job.b) = (pointers[4], pointers[5]) }
        let out = try withExtendedLifetime(read) {
            try make(width: inputs.outputShape.dropFirst().reduce(1, *)) {
                job.out = UnsafePointer($0)
                return moult_step_recurrence(memory.handle, &job)
            }
        }
        return (tensor(out, inputs.outputShape), [])
    }

    public func shortConvolution(
        _ call: ShortConvolution, isStateWanted: Bool
    ) throws -> (result: Tensor, state: Tensor?) {
        let given = [call.x] + (call.state.map { [$0] } ?? [])
        let results = try later(given, [call.x.shape] + (isStateWanted ? [call.stateShape] : [])) { given, _ in
            let now = ShortConvolution(
                x: given[0], weight: call.weight, bias: call.bias, activation: call.activation,
                state: given.count > 1 ? given[1] : nil, documents: nil)
            let (result, state) = try CPUBackend.shared.shortConvolution(now, isStateWanted: isStateWanted)
            return [result] + (state.map { [$0] } ?? [])
        }
        return (results[0], isStateWanted ? results[1] : nil)
    }
}
