/// What rows in training take over from the rows before them, as constants.
extension Tensor {
    /// Keys or values self (B, T, N, K) behind those of the `past` (B, P, N, K): (B, P + T, N, K), with zeros in the places of
    /// no token of the row's first document.
    package func behind(_ past: Tensor, _ carried: CarriedDocuments) throws -> Tensor {
        try requireCarried("behind", past, carried)
        let (places, backend) = (past.shape[1], try backend("behind", with: past, carried.counts))
        return try backend.carriedRows(past: past, detached, carried, .joined).recorded(of: self) { gradient in
            try variable?.add(backend.rows(gradient, from: places, count: shape[1]))
        }
    }

    /// What the rows after keys or values self (B, T, N, K) and their `past` (B, P, N, K) have for a past: of each row's last
    /// document the last P tokens, or, where it has more, the first `sinks` and the last of the others.
    package func past(after past: Tensor, sinks: Int, _ carried: CarriedDocuments) throws -> Tensor {
        try requireCarried("past", past, carried)
        return try backend("past", with: past, carried.counts)
            .carriedRows(past: past, detached, carried, .next(sinks: sinks))
    }

    /// Of self (B, S, ...), the rows `from` ..< `from + count` of each of the B: (B, count, ...). Nothing is recorded.
    package func stretch(from start: Int, count: Int) throws -> Tensor {
        guard rank > 1, start >= 0, count >= 0, start + count <= shape[1] else {
            throw TensorError.range(
                operation: "stretch", argument: "range", expected: "within \(shape)", found: "\(start) + \(count)")
        }
        return try backend("stretch").rows(detached, from: start, count: count)
    }

    /// Takes over the elements of `other`, of the same shape; where work is recorded, in its own memory, which that reads.
    package mutating func take(_ other: Tensor) throws {
        guard other.shape == shape, other.dtype == dtype, other.device == device else {
            throw TensorError.shape(
                operation: "take", argument: "other", expected: "\(dtype.rawValue) of \(shape)", found: other.shape)
        }
        guard device.traits.recordsWork || storage.captured != nil else {
            self = other.detached
            return
        }
        try storage.runtime.copy(other.storage, at: other.byteOffset, count: byteCount, to: storage, at: byteOffset)
    }

    private func requireCarried(_ operation: String, _ past: Tensor, _ carried: CarriedDocuments) throws {
        try requireActivation(operation, "x", [nil, nil, nil, nil])
        try past.requireActivation(operation, "past", [shape[0], nil, shape[2], shape[3]])
        guard carried.counts.shape == [shape[0]], shape[0] == 1 || device.traits.readsInStep else {
            throw TensorError.shape(
                operation: operation, argument: "x",
                expected: "as many rows as go on with others, on the processor one", found: shape)
        }
    }
}

extension Tensor {
    /// A tensor (B, ...) of the state with which rows begin that go on with those that have left self: zero where a document begins.
    package func carriedState(_ carried: CarriedDocuments) throws -> Tensor {
        guard shape.count > 1, byteCount / max(1, shape[0]) % 4 == 0 else {
            throw TensorError.shape(
                operation: "carriedState", argument: "x", expected: "rows of whole multiples of 4 bytes", found: shape)
        }
        return try backend("carriedState", with: carried.counts).carriedStates(detached, carried)
    }
}

/// Which rows of a past and of new tokens are asked for.
public enum CarriedSelection: Sendable {
    /// All.
    case joined
    /// The past of the next.
    case next(sinks: Int)
}
