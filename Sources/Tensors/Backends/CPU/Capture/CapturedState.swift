import CKernels

/// What is bound to each row of a step.
extension CapturedStep {
    /// A tensor of the step that stands for one like `tensor`, (1, ...) float32, of each sequence; see ``Tensor/bind(to:row:)``.
    public func state(like tensor: Tensor) throws -> Tensor {
        try tensor.requireFloat32("CapturedStep.state", "tensor")
        guard tensor.shape.first == 1 else {
            throw TensorError.shape(
                operation: "CapturedStep", argument: "state", expected: "[1, ...]", found: tensor.shape)
        }
        let places = try memory.take(capacity, of: UnsafeMutablePointer<Float>?.self)
        return self.tensor(
            CapturedRows(memory, width: tensor.count, .state(places)), [capacity] + tensor.shape.dropFirst())
    }

    /// What stands for keys and values like `rows` of each sequence.
    /// - Parameter most: rows that a sequence ever holds; nil without bound.
    public func cache(keys: HeldRows, values: HeldRows, most: Int?) throws -> CapturedCache {
        CapturedCache(
            step: self, entries: try memory.take(capacity), heads: keys.shape[1], keyDim: keys.shape[2],
            valueDim: values.shape[2], most: most)
    }
}

extension Tensor {
    /// Makes this tensor the one that `place`, a state of a step, stands for in row `row`: a run reads it, and writes it in place. It must
    /// not be changed or copied until the run is over.
    public mutating func bind(to place: Tensor, row: Int) throws {
        guard let rows = place.storage.captured, case .state(let places) = rows.form,
            (0..<(place.shape.first ?? 0)).contains(row), count == rows.width
        else {
            throw TensorError.shape(
                operation: "bind", argument: "tensor", expected: "one sequence's of \(place.shape)", found: shape)
        }
        places[row] = try withMutable(Float.self) { $0.baseAddress }
    }
}

extension Tensor {
    /// Causal softmax attention of one token of each sequence of a step, queries self (R, 1, H, K), k (R, 1, n, K) and v (R, 1, n, V),
    /// over what `cache` holds of it and the token itself, which is held from then on: (R, 1, H, V). `sinkQueries` stand for self where
    /// a row's sinks are bound; see ``CapturedCache/bind(keys:values:place:held:sinks:scale:row:)``.
    public func attention(
        over cache: CapturedCache, k: Tensor, v: Tensor, scale: Float, cap: Float? = nil, sinkQueries: Tensor? = nil
    ) throws -> Tensor {
        try requireHeads("attention", k: k, v: v)
        try Tensor.requireCap(cap, "attention")
        try k.requireShape("attention", "k", [shape[0], 1, cache.heads, cache.keyDim])
        try v.requireShape("attention", "v", [shape[0], 1, cache.heads, cache.valueDim])
        try sinkQueries?.requireShape("attention", "sinkQueries", shape)
        guard let step = storage.runtime as? CapturedStep, step === cache.step else {
            throw CapturedStep.refused("attention over another step's cache")
        }
        return try step.attention(q: self, k: k, v: v, over: cache, scale: scale, cap: cap, sinkQueries: sinkQueries)
    }
}

/// Keys and values of past tokens in a step, which are each sequence's own.
public struct CapturedCache {
    fileprivate let step: CapturedStep
    let entries: UnsafeMutablePointer<moult_step_cache>
    let heads, keyDim, valueDim: Int
    let most: Int?

    fileprivate init(
        step: CapturedStep, entries: UnsafeMutablePointer<moult_step_cache>, heads: Int, keyDim: Int, valueDim: Int,
        most: Int?
    ) {
        (self.step, self.entries, self.heads, self.keyDim) = (step, entries, heads, keyDim)
        (self.valueDim, self.most) = (valueDim, most)
    }

    /// Binds keys and values (S, n, ·) of one row, the first `held` of which are in use with the new token's, which
    /// go to `place`. They are written in place and must stay where they are until the run is over.
    /// - Parameters:
    ///   - sinks: how many of the first are seen by the queries for sinks.
    ///   - scale: what the queries are multiplied by beside the heads' scale.
    public func bind(
        keys: inout HeldRows, values: inout HeldRows, place: Int, held: Int, sinks: Int = 0, scale: Float = 1, row: Int
    ) throws {
        guard keys.shape.dropFirst() == [heads, keyDim], values.shape.dropFirst() == [heads, valueDim],
            keys.shape[0] >= held, values.shape[0] >= held, (0..<held).contains(place), (0..<held).contains(sinks),
            (0..<step.capacity).contains(row)
        else {
            throw TensorError.shape(
                operation: "CapturedStep", argument: "cache", expected: "[\(held) or more, \(heads), \(keyDim)]",
                found: keys.shape)
        }
        guard keys.type == values.type else {
            throw TensorError.range(
                operation: "CapturedStep", argument: "cache", expected: "keys and values held alike",
                found: "\(keys.type.rawValue) and \(values.type.rawValue)")
        }
        let (heldKeys, heldValues) = (try keys.addresses(), try values.addresses())
        entries[row] = moult_step_cache(
            type: keys.type.kernelType, keys: heldKeys.elements, values: heldValues.elements,
            key_scales: heldKeys.scales, value_scales: heldValues.scales, place: Int64(place), held: Int64(held),
            sinks: Int64(sinks), scale: scale)
    }
}
