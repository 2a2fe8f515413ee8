import CKernels

/// Experts on the processor: each computes the rows that take it.
extension CPUBackend {
    public func routed(_ logits: Tensor, active: Int, isNormalised: Bool) throws -> Tensor {
        let (rows, experts) = (logits.shape[0], logits.shape[1])
        return try withExtendedLifetime(logits) {
            try .filled([experts, rows]) {
                moult_route(logits.floats, Int64(rows), Int64(experts), Int64(active), isNormalised, $0)
            }
        }
    }

    public func routedBackward(
        _ gradient: Tensor, logits: Tensor, weights: Tensor, isNormalised: Bool
    ) throws -> Tensor {
        try withExtendedLifetime((gradient, logits, weights)) {
            try .filled(logits.shape) {
                moult_route_backward(
                    gradient.floats, logits.floats, weights.floats, Int64(logits.shape[0]), Int64(logits.shape[1]),
                    isNormalised, $0)
            }
        }
    }

    public func rowsOfExperts(_ weights: Tensor) throws -> [Tensor]? {
        let rows = weights.shape[1]
        return try weights.withElements(Float.self) { weights in
            try (0..<weights.count / max(rows, 1)).map { expert in
                let ids = (0..<rows).filter { weights[expert * rows + $0] != 0 }.map { Int32($0) }
                return try Tensor(ids, shape: [ids.count])
            }
        }
    }

    public func takenRows(_ x: Tensor, at ids: Tensor?, by shares: Tensor?) throws -> Tensor {
        let ids = try ids ?? allRows(of: x)
        return try withExtendedLifetime((x, shares)) {
            try .filled([ids.count, x.shape[1]]) { out in
                try ids.withElements(Int32.self) {
                    moult_take_rows(
                        x.floats, $0.baseAddress, shares?.floats, Int64($0.count), Int64(x.shape[1]), out)
                }
            }
        }
    }

    public func addRows(_ x: Tensor, at ids: Tensor?, by shares: Tensor?, to sum: inout Tensor) throws {
        let ids = try ids ?? allRows(of: x)
        try withExtendedLifetime((x, shares)) {
            try sum.withMutable(Float.self) { sum in
                try ids.withElements(Int32.self) {
                    moult_add_rows(
                        x.floats, $0.baseAddress, shares?.floats, Int64($0.count), Int64(x.shape[1]), sum.baseAddress)
                }
            }
        }
    }

    public func setRowProducts(
        _ x: Tensor, _ y: Tensor, at ids: Tensor?, in products: inout Tensor, row: Int
    ) throws {
        let (ids, rows) = (try ids ?? allRows(of: x), products.shape[1])
        try withExtendedLifetime((x, y)) {
            try products.withMutable(Float.self) { products in
                guard let out = products.baseAddress else { return }
                try ids.withElements(Int32.self) {
                    moult_row_products(
                        x.floats, y.floats, $0.baseAddress, Int64($0.count), Int64(x.shape[1]), out + row * rows)
                }
            }
        }
    }

    private func allRows(of x: Tensor) throws -> Tensor {
        try Tensor((0..<x.shape[0]).map { Int32($0) }, shape: [x.shape[0]])
    }
}
