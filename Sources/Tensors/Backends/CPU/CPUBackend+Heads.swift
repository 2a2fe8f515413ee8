extension CPUBackend {
    public func pickHeads(_ x: Tensor, _ heads: HeadSet, of count: Int) throws -> Tensor {
        let width = x.shape[2] / count * x.shape[3], rows = x.shape[0] * x.shape[1]
        let shape = [x.shape[0], x.shape[1], x.shape[2] / count * heads.count, x.shape[3]]
        return try withExtendedLifetime(x) {
            try Tensor.filled(shape) { out in
                guard let out, let from = x.floats else { return }
                for row in 0..<rows {
                    for (place, head) in heads.heads.enumerated() {
                        (out + (row * heads.count + place) * width)
                            .update(from: from + (row * count + head) * width, count: width)
                    }
                }
            }
        }
    }

    public func joinHeads(_ some: Tensor?, _ others: Tensor?, by heads: HeadSet, of count: Int) throws -> Tensor {
        let rest = heads.complement(of: count)
        guard let part = some ?? others else { return try .empty([0]) }
        let each = part.shape[2] / (some == nil ? rest.count : heads.count)
        let width = each * part.shape[3], rows = part.shape[0] * part.shape[1]
        return try withExtendedLifetime((some, others)) {
            try Tensor.filled([part.shape[0], part.shape[1], count * each, part.shape[3]]) { out in
                guard let out else { return }
                for (source, set) in [(some, heads), (others, rest)] {
                    for (place, head) in set.heads.enumerated() {
                        for row in 0..<rows {
                            let to = out + (row * count + head) * width
                            if let from = source?.floats {
                                to.update(from: from + (row * set.count + place) * width, count: width)
                            } else {
                                to.update(repeating: 0, count: width)
                            }
                        }
                    }
                }
            }
        }
    }
}
