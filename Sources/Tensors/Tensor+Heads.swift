/// Taking a layer's heads apart and joining them again, where some mix in another way than the others.
extension Tensor {
    /// Of self (B, T, N · G, W), G heads side by side for each of N = `count` key/value heads, those of `heads`:
    /// (B, T, n · G, W).
    public func heads(_ heads: HeadSet, of count: Int) throws -> Tensor {
        try requireHeads("heads", heads, of: count, all: count)
        let backend = storage.runtime.backend
        return try backend.pickHeads(self, heads, of: count).recorded(of: self) { gradient in
            try variable?.add(backend.joinHeads(gradient, nil, by: heads, of: count))
        }
    }

    /// self (B, T, n · G, W) as the `heads` of N = `count` key/value heads, `others` (B, T, (N - n) · G, W) as the rest:
    /// (B, T, N · G, W).
    public func joined(with others: Tensor, as heads: HeadSet, of count: Int) throws -> Tensor {
        let rest = heads.complement(of: count)
        try requireHeads("joined", heads, of: count, all: heads.count)
        try others.requireHeads("joined", rest, of: count, all: rest.count)
        try others.requireActivation(
            "joined", "others", [shape[0], shape[1], shape[2] / heads.count * rest.count, shape[3]])
        let backend = try backend("joined", with: others)
        return try backend.joinHeads(self, others, by: heads, of: count).recorded(of: self, others) { gradient in
            try variable?.add(backend.pickHeads(gradient, heads, of: count))
            try others.variable?.add(backend.pickHeads(gradient, rest, of: count))
        }
    }

    /// self is (B, T, `all` · G, W), and `heads` are some of `count`.
    private func requireHeads(_ operation: String, _ heads: HeadSet, of count: Int, all: Int) throws {
        try requireActivation(operation, "self", [nil, nil, nil, nil])
        guard !heads.isEmpty, (1...HeadSet.mostHeads).contains(count), heads.complement(of: count).count < count,
            heads.heads.allSatisfy({ $0 < count })
        else {
            throw TensorError.range(
                operation: operation, argument: "heads", expected: "some of 1 to \(HeadSet.mostHeads) heads",
                found: "\(heads.heads) of \(count)")
        }
        guard all > 0, shape[2] % all == 0 else {
            throw TensorError.shape(
                operation: operation, argument: "self", expected: "a multiple of \(all) heads", found: shape)
        }
    }
}
