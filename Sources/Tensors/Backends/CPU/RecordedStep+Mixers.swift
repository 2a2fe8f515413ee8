import CKernels
import Foundation

/// The mixers of a step.
extension RecordedStep {
    /// Projections that a mixer joins: q (rows, H · K), k (rows, N · K), v (rows, N · V).
    public struct Heads {
        /// Queries (rows, H · K).
        public var q: Rows
        /// Keys (rows, N · K).
        public var k: Rows
        /// Values (rows, N · V).
        public var v: Rows
        /// Query heads, H.
        public var heads: Int
        /// Key/value heads, N.
        public var keyValueHeads: Int
        /// What scores of queries and keys are multiplied with.
        public var scale: Float
        /// Scores of softmax attention go through cap · tanh(score / cap); nil for none.
        public var cap: Float?
        /// Angles by which q and k turn; nil for no positions.
        public var angles: Angles?
        /// Whether q, k and v go through silu.
        public var silu: Bool
        /// The key/value heads that are joined; nil for all.
        public private(set) var set: HeadSet?

        /// Projections of all heads.
        public init(
            q: Rows, k: Rows, v: Rows, heads: Int, keyValueHeads: Int, scale: Float, cap: Float? = nil,
            angles: Angles?, silu: Bool
        ) {
            (self.q, self.k, self.v, self.heads, self.keyValueHeads) = (q, k, v, heads, keyValueHeads)
            (self.scale, self.cap, self.angles, self.silu) = (scale, cap, angles, silu)
        }

        /// The same for some of the key/value heads.
        public func only(_ set: HeadSet?) -> Heads {
            var heads = self
            heads.set = set
            return heads
        }

        /// The same with q and k turned by other angles, or by none.
        public func turned(by angles: Angles?) -> Heads {
            var heads = self
            heads.angles = angles
            return heads
        }

        /// Joined key/value heads, n.
        var count: Int { self.set?.count ?? keyValueHeads }
        var keyDim: Int { k.width / keyValueHeads }
        var valueDim: Int { v.width / keyValueHeads }

        func job(out: Rows) -> moult_step_heads {
            moult_step_heads(
                heads: Int64(heads), key_value_heads: Int64(keyValueHeads), key_dim: Int64(keyDim),
                value_dim: Int64(valueDim), set: set?.bits ?? 0, scale: scale, cap: cap ?? 0, q: q.values, k: k.values,
                v: v.values, cosines: angles?.turns.cosines.values, sines: angles?.turns.sines.values,
                sink_cosines: angles?.sinkTurns.cosines.values, sink_sines: angles?.sinkTurns.sines.values, silu: silu,
                out: out.values)
        }
    }

    /// The angles of the rows' positions, (rows, K / 2).
    public struct Angles {
        struct Turns {
            let cosines: Rows
            let sines: Rows

            func set(row: Int, position: Int, frequencies: [Float], factor: Double) {
                let start = row * cosines.width
                for (index, frequency) in frequencies.enumerated() {
                    let angle = Double(position) * Double(frequency)
                    cosines.values[start + index] = Float(factor * cos(angle))
                    sines.values[start + index] = Float(factor * sin(angle))
                }
            }
        }
        let turns: Turns
        /// Those by which queries turn for sinks.
        let sinkTurns: Turns

        /// Sets the angles of one row: position · frequency, in radians, and for sinks min(position, `farthest`) · frequency.
        /// Cosines and sines are multiplied by `factor`.
        public func set(row: Int, position: Int, farthest: Int, frequencies: [Float], factor: Double = 1) {
            turns.set(row: row, position: position, frequencies: frequencies, factor: factor)
            // Up to there nothing is turned by them.
            guard position > farthest else { return }
            sinkTurns.set(row: row, position: farthest, frequencies: frequencies, factor: factor)
        }

        /// The cosines and sines of one row, (1, K / 2) each.
        public func table(row: Int, of step: RecordedStep) throws -> (cosines: Tensor, sines: Tensor) {
            let shape = [1, turns.cosines.width]
            return (
                try step.tensor(row, of: turns.cosines, shape: shape),
                try step.tensor(row, of: turns.sines, shape: shape)
            )
        }
    }

    /// Angles of `count` frequencies, K/2, which are set for every row before a run.
    public func angles(count: Int) throws -> Angles {
        func turns() throws -> Angles.Turns {
            Angles.Turns(cosines: try rows(width: count), sines: try rows(width: count))
        }
        return Angles(turns: try turns(), sinkTurns: try turns())
    }

    /// Where ``gatedSlots(_:gates:divisor:)`` finds the states of the rows.
    public struct SlotTable {
        let entries: UnsafeMutablePointer<moult_step_slots>
        let keyCount: Int
        let valueCount: Int

        /// Binds the state of one row; it is updated in place and must stay where it is until the run is over.
        public func bind(_ state: inout GatedSlotState, row: Int) throws {
            guard state.keys.count == keyCount, state.values.count == valueCount else {
                throw TensorError.shape(
                    operation: "RecordedStep", argument: "slots", expected: "\(keyCount) elements",
                    found: state.keys.shape)
            }
            entries[row] = moult_step_slots(
                keys: try state.keys.withMutable(Float.self) { $0.baseAddress },
                values: try state.values.withMutable(Float.self) { $0.baseAddress })
        }
    }

    /// Gated Slot Attention (arXiv 2409.07146) with log gates logsigmoid(gates) / divisor, gates (rows, n · M).
    /// - Returns: the heads' outputs (rows, H · V) and where their states go.
    public func gatedSlots(_ heads: Heads, gates: Rows, divisor: Float) throws -> (out: Rows, states: SlotTable) {
        let out = try rows(width: heads.v.width / heads.keyValueHeads * heads.heads)
        var job = heads.job(out: out)
        let slots = gates.width / heads.count
        guard let table = moult_step_gated_slots(handle, &job, gates.values, divisor, Int64(slots)) else {
            throw outOfMemory(out.width)
        }
        let count = slots * heads.count
        return (out, SlotTable(entries: table, keyCount: count * heads.keyDim, valueCount: count * heads.valueDim))
    }

    /// Where `attention` finds the keys and values of the rows.
    public struct CacheTable {
        let entries: UnsafeMutablePointer<moult_step_cache>
        let keyWidth: Int
        let valueWidth: Int

        /// Binds keys and values (S, n, ·) of one row, the first `held` of which are in use with the new token's, which
        /// go to `place`. They are written in place and must stay where they are until the run is over.
        /// - Parameters:
        ///   - sinks: how many of the first are seen by queries turned by the sinks' angles.
        ///   - scale: what the queries are multiplied by beside the heads' scale.
        public func bind(
            keys: inout HeldRows, values: inout HeldRows, place: Int, held: Int, sinks: Int = 0, scale: Float = 1,
            row: Int
        ) throws {
            guard keys.count / max(keyWidth, 1) >= held, values.count / max(valueWidth, 1) >= held,
                (0..<held).contains(place), (0..<held).contains(sinks)
            else {
                throw TensorError.shape(
                    operation: "RecordedStep", argument: "cache", expected: "\(held) rows of \(keyWidth) elements",
                    found: keys.shape)
            }
            guard keys.type == values.type else {
                throw TensorError.range(
                    operation: "RecordedStep", argument: "cache", expected: "keys and values held alike",
                    found: "\(keys.type.rawValue) and \(values.type.rawValue)")
            }
            let (heldKeys, heldValues) = (try keys.addresses(), try values.addresses())
            entries[row] = moult_step_cache(
                type: keys.type.kernelType, keys: heldKeys.elements, values: heldValues.elements,
                key_scales: heldKeys.scales, value_scales: heldValues.scales, place: Int64(place), held: Int64(held),
                sinks: Int64(sinks), scale: scale)
        }
    }

    /// Softmax attention over the rows' caches.
    /// - Parameters:
    ///   - out: outputs of other heads, which these join.
    ///   - most: how many rows a cache ever holds; nil without bound.
    /// - Returns: the heads' outputs (rows, H · V) and where the caches go.
    public func attention(_ heads: Heads, into out: Rows? = nil, most: Int?) throws -> (out: Rows, caches: CacheTable) {
        try Tensor.requireCap(heads.cap, "attention")
        let out = try out ?? rows(width: heads.valueDim * heads.heads)
        var job = heads.job(out: out)
        guard let table = moult_step_attention(handle, &job, most.map(Int64.init) ?? .max) else {
            throw outOfMemory(out.width)
        }
        let (keys, values) = (heads.count * heads.keyDim, heads.count * heads.valueDim)
        return (out, CacheTable(entries: table, keyWidth: keys, valueWidth: values))
    }

    /// w · window + (1 - w) · x with w = sigmoid(share), share (rows, n · G), for the key/value heads in the set of
    /// `heads`, and window for the others; or x itself. To be read by `readers`.
    public func join(_ x: Rows, window: (out: Rows, share: Rows)?, heads: Heads, readers: [Tensor]) throws -> Rows {
        try join(readers: readers, width: x.width) {
            $0.heads = Int64(heads.heads)
            $0.value_dim = Int64(x.width / heads.heads)
            $0.key_value_heads = Int64(heads.keyValueHeads)
            $0.set = heads.set?.bits ?? 0
            $0.x = UnsafePointer(x.values)
            $0.window = window.map { UnsafePointer($0.out.values) }
            $0.share = window.map { UnsafePointer($0.share.values) }
        }
    }

    /// silu(x), normed over all heads.
    public func join(_ x: Rows, siluNorm weight: Tensor, epsilon: Float, readers: [Tensor]) throws -> Rows {
        try weight.require("join", "weight", [x.width])
        kept.append(weight)
        return try join(readers: readers, width: x.width) {
            $0.x = UnsafePointer(x.values)
            $0.silu = true
            $0.norm_weight = weight.floats
            $0.norm_epsilon = epsilon
        }
    }

    /// x itself, to be read by `readers`, of which some may want it rounded.
    public func rounded(_ x: Rows, readers: [Tensor]) throws -> Rows {
        guard readers.contains(where: \.dtype.isQuantised) else { return x }
        return try join(readers: readers, width: x.width) { $0.x = UnsafePointer(x.values) }
    }

    private func join(readers: [Tensor], width: Int, _ set: (inout moult_step_join) -> Void) throws -> Rows {
        let out = try rows(width: width, readers: readers)
        var job = moult_step_join()
        set(&job)
        try check(moult_step_join(handle, &job, out.pointer), width)
        return out
    }
}
