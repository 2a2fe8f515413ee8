extension CPUBackend {
    public func pickHeads(_ x: Tensor, _ heads: HeadSet, of count: Int) throws -> Tensor {
        let each = x.shape[2] / count
        return try withExtendedLifetime(x) {
            try Tensor.filled([x.shape[0], x.shape[1], each * heads.count, x.shape[3]]) { out in
                guard let out, let from = x.floats else { return }
                for (place, head) in heads.heads.enumerated() {
                    Self.copy(from, head, of: count, to: out, place, of: heads.count, x, width: each * x.shape[3])
                }
            }
        }
    }

    public func joinHeads(_ some: Tensor?, _ others: Tensor?, by heads: HeadSet, of count: Int) throws -> Tensor {
        let rest = heads.complement(of: count)
        guard let part = some ?? others else { return try .empty([0]) }
        let each = part.shape[2] / (some == nil ? rest.count : heads.count)
        let shape = [part.shape[0], part.shape[1], count * each, part.shape[3]]
        var result = some == nil || others == nil ? try Tensor.zeros(shape) : try Tensor.empty(shape)
        try withExtendedLifetime((some, others)) {
            try result.withMutable(Float.self) { out in
                for (source, set) in [(some, heads), (others, rest)] {
                    guard let from = source?.floats, let out = out.baseAddress else { continue }
                    for (place, head) in set.heads.enumerated() {
                        Self.copy(
                            from, place, of: set.count, to: out, head, of: count, part, width: each * part.shape[3])
                    }
                }
            }
        }
        return result
    }

    /// Copies one head, `width` floats, of every token of `tokens` (B, T, ...): head `head` of `count` to head `place` of
    /// `places`.
    private static func copy(
        _ from: UnsafePointer<Float>, _ head: Int, of count: Int, to out: UnsafeMutablePointer<Float>, _ place: Int,
        of places: Int, _ tokens: Tensor, width: Int
    ) {
        for row in 0..<tokens.shape[0] * tokens.shape[1] {
            (out + (row * places + place) * width).update(from: from + (row * count + head) * width, count: width)
        }
    }
}
