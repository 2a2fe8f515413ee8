import CKernels

/// What has no operation of its own in a step: the processor's ordinary one is called when a run comes by.
extension CapturedStep {
    /// Calls `body` in every run with what `inputs` (R, ...) hold for its rows, (rows, ...), and their number; it gives tensors of `shapes`,
    /// with as many rows.
    /// - Parameter isConstant: of tensors that are not the step's, those that have no rows.
    func later(
        _ inputs: [Tensor], _ shapes: [[Int]], isConstant: (Tensor) -> Bool = { _ in false },
        _ body: @escaping (_ inputs: [Tensor], _ rows: Int) throws -> [Tensor]
    ) throws -> [Tensor] {
        for shape in shapes where shape.first != capacity { throw Self.refused("a result of \(shape)") }
        let given = try inputs.map { input in
            if input.storage.captured == nil, isConstant(input) { return Given(constant: input) }
            guard input.shape.first == capacity else { throw Self.refused("an input of \(input.shape)") }
            return Given(rows: try rows(input), shape: input.shape)
        }
        let outs = try shapes.map { shape in
            try CapturedRows(memory, width: shape.dropFirst().reduce(1, *), isReused: false)
        }
        try call { rows in
            let results = try body(given.map { try $0.tensor(rows) }, rows)
            for (out, result) in zip(outs, results) {
                guard result.count == rows * out.width else { throw Self.refused("a result of \(result.shape)") }
                try result.withElements(Float.self) { elements in
                    guard let from = elements.baseAddress else { return }
                    out.values?.update(from: from, count: elements.count)
                }
            }
        }
        return zip(outs, shapes).map { tensor($0, $1) }
    }

    /// An input of a call, held without the step.
    private struct Given {
        var constant: Tensor?
        var rows: CapturedRows?
        var shape: [Int] = []

        /// A copy of its first rows, which the call may keep.
        func tensor(_ count: Int) throws -> Tensor {
            if let constant { return constant }
            return try .filled([count] + shape.dropFirst()) { out in
                guard let rows, let from = rows.values else { return }
                out?.update(from: from, count: count * rows.width)
            }
        }
    }

    public func rows(_ x: Tensor, from start: Int, count: Int) throws -> Tensor {
        if start == 0, count == x.shape[1] { return x }
        let shape = [x.shape[0], count] + x.shape.dropFirst(2)
        return try later([x], [shape]) { given, _ in [try CPUBackend.shared.rows(given[0], from: start, count: count)]
        }[0]
    }

    // MARK: What no step has

    public func negativeLogLikelihood(_ hidden: Tensor, head: Tensor, cap: Float?, targets: [Int32]) throws -> [Float] {
        throw Self.refused("negativeLogLikelihood")
    }

    public func indicesOfLargest(_ x: Tensor) throws -> Tensor { throw Self.refused("indicesOfLargest") }

    public func documents(_ documents: Documents, behind past: Int, before: Tensor) throws -> Documents {
        throw Self.refused("documents")
    }

    public func carriedRows(
        past: Tensor, _ x: Tensor, _ carried: CarriedDocuments, _ selection: CarriedSelection
    ) throws -> Tensor { throw Self.refused("carriedRows") }

    public func carriedStates(_ x: Tensor, _ carried: CarriedDocuments) throws -> Tensor {
        throw Self.refused("carriedStates")
    }

    public func routed(_ logits: Tensor, active: Int, isNormalised: Bool) throws -> Tensor {
        throw Self.refused("routed")
    }

    public func rowsOfExperts(_ weights: Tensor) throws -> [Tensor]? { throw Self.refused("rowsOfExperts") }

    public func takenRows(_ x: Tensor, at ids: Tensor?, by shares: Tensor?) throws -> Tensor {
        throw Self.refused("takenRows")
    }

    public func addRows(_ x: Tensor, at ids: Tensor?, by shares: Tensor?, to sum: inout Tensor) throws {
        throw Self.refused("addRows")
    }
}

extension Recurrence {
    /// The same of other tensors, in the order of ``tensors``.
    func with(_ tensors: some Collection<Tensor>) -> Recurrence {
        let all = Array(tensors)
        return Recurrence(
            q: all[0], k: all[1], v: all[2], logDecays: all[3], betas: betas == nil ? nil : all[4],
            rankOne: rankOne == nil ? nil : .init(reads: all[4], writes: all[5]), scale: scale, documents: nil)
    }
}
