extension CPUBackend {
    /// Of one row.
    private func before(_ counts: Tensor) throws -> Int { Int(try counts.array(Int32.self).first ?? 0) }

    public func documents(_ documents: Documents, behind past: Int, before counts: Tensor) throws -> Documents {
        let before = try before(counts)
        let first = before > 0 ? [past - min(before, past)] : []
        let starts = first + (try documents.starts()).dropFirst(first.count).map { $0 + past }
        return Documents(starts.first == 0 ? starts : [0] + starts)
    }

    public func carriedRows(
        past: Tensor, _ x: Tensor, _ carried: CarriedDocuments, _ selection: CarriedSelection
    ) throws -> Tensor {
        let (places, tokens, width) = (past.shape[1], x.shape[1], x.shape[2] * x.shape[3])
        var sources: [Int]
        switch selection {
        case .joined: sources = Array(0..<places + tokens)
        case .next(let sinks):
            let start = try carried.documents(behind: places).starts().last ?? 0
            let isCut = places + tokens - start > places
            sources = (0..<places).map { isCut && $0 < sinks ? start + $0 : $0 + tokens }
        }
        let empty = try places - min(before(carried.counts), places)
        return try withExtendedLifetime((past, x)) {
            try Tensor.filled([1, sources.count] + x.shape[2...]) { out in
                guard let out, let past = past.floats, let x = x.floats else { return }
                for (place, source) in sources.enumerated() {
                    let row = out + place * width
                    if source < empty {
                        row.update(repeating: 0, count: width)
                    } else {
                        let from = source < places ? past + source * width : x + (source - places) * width
                        row.update(from: from, count: width)
                    }
                }
            }
        }
    }

    public func rows(_ x: Tensor, from start: Int, count: Int) throws -> Tensor {
        let width = x.shape[2...].reduce(1, *)
        return try withExtendedLifetime(x) {
            try Tensor.filled([x.shape[0], count] + x.shape[2...]) { out in
                guard let out, let from = x.floats else { return }
                for row in 0..<x.shape[0] {
                    (out + row * count * width).update(
                        from: from + (row * x.shape[1] + start) * width, count: count * width)
                }
            }
        }
    }

    public func carriedStates(_ x: Tensor, _ carried: CarriedDocuments) throws -> Tensor {
        try before(carried.counts) > 0 ? x : .zeros(x.shape, x.dtype)
    }
}
