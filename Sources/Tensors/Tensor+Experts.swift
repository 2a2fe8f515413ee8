extension Tensor {
    /// Σ w · expert(x) over the experts that each row of self (..., D) takes by its `router` logits (..., E). What lies
    /// between is computed again for the gradients.
    /// - Parameter visit: shown, of each expert that rows take, what its last product reads of them: (rows, F).
    public func experts(
        _ experts: Experts, router: Tensor, visit: ((_ expert: Int, _ inner: Tensor) throws -> Void)? = nil
    ) throws -> Tensor {
        try requireActivation("experts", "x")
        let width = try requireLastDimension("experts", "x")
        try experts.require("experts", width: width)
        try router.requireActivation("experts", "router", Array(shape.dropLast()) + [experts.all.count])
        try requireDevice("experts", [router] + experts.all.flatMap(\.weights))
        if let step = storage.runtime as? CapturedStep, visit == nil {
            return try step.experts(self, router: router, experts)
        }
        let backend = storage.runtime.backend
        let gradientBackend = storage.runtime.gradientBackend
        let rows = count / width
        let weights = try router.reshaped([rows, experts.all.count])
            .routed(active: experts.active, isNormalised: experts.isNormalised)
        let x = try detached.reshaped([rows, width])
        let places = try backend.rowsOfExperts(weights)
        var sum = try Tensor.zeros([rows, width], dtype, on: device)
        for (index, expert) in experts.all.enumerated() {
            let place = places?[index]
            if place?.count == 0 { continue }
            let pass = try ExpertPass(expert, experts.activation, of: backend.takenRows(x, at: place, by: nil))
            try visit?(index, pass.inner)
            try backend.addRows(pass.output, at: place, by: weights.shares(index), to: &sum)
        }
        return try sum.reshaped(shape).recorded(of: self, weights, experts.all.flatMap(\.weights)) { gradient in
            let gradient = try gradient.reshaped([rows, width])
            var sum = try Tensor.zeros([rows, width], dtype, on: device)
            var weightGradient = try Tensor.zeros(weights.shape, on: device)
            for (index, expert) in experts.all.enumerated() {
                let place = places?[index]
                if place?.count == 0 {
                    // Nothing, which is to be a gradient too.
                    for weight in expert.weights { try weight.variable?.accumulate(like: weight) { _ in } }
                    continue
                }
                let pass = try ExpertPass(expert, experts.activation, of: backend.takenRows(x, at: place, by: nil))
                try gradientBackend.setRowProducts(pass.output, gradient, at: place, in: &weightGradient, row: index)
                let own = try backend.takenRows(gradient, at: place, by: weights.shares(index))
                try backend.addRows(pass.backward(own), at: place, by: nil, to: &sum)
            }
            try variable?.add(sum.reshaped(shape))
            try weights.variable?.add(weightGradient)
        }
    }

    /// Of router logits self (R, E) the weights (E, R), float32, of the experts that the rows take; 0 for the others.
    private func routed(active: Int, isNormalised: Bool) throws -> Tensor {
        let backend = storage.runtime.backend
        let gradientBackend = storage.runtime.gradientBackend
        let weights = try backend.routed(self, active: active, isNormalised: isNormalised)
        return weights.recorded(of: self) {
            try variable?.add(
                gradientBackend.routedBackward($0, logits: self, weights: weights, isNormalised: isNormalised))
        }
    }

    /// The weights of one expert among (E, R).
    private func shares(_ expert: Int) throws -> Tensor { try detached.rows(expert..<expert + 1).reshaped([shape[1]]) }

    private func recorded(
        of x: Tensor, _ weights: Tensor, _ experts: [Tensor], backward: @escaping (Tensor) throws -> Void
    ) throws -> Tensor {
        for weight in experts where x.isRecorded || weight.isRecorded { try weight.requirePlain("experts", "expert") }
        return Tensor.record([self], of: [x, weights] + experts) {
            if let gradient = $0[0] { try backward(gradient) }
        }[0]
    }
}

/// One expert of some rows.
private struct ExpertPass {
    let expert: Experts.Expert
    let activation: Activation
    let x, gate, up, inner, output: Tensor

    init(_ expert: Experts.Expert, _ activation: Activation, of x: Tensor) throws {
        let backend = x.storage.runtime.backend
        (self.expert, self.activation, self.x) = (expert, activation, x)
        let wide = try backend.linear(x, weights: [expert.gate, expert.up], biases: [nil, nil])
        (gate, up) = (wide[0], wide[1])
        inner = try backend.gated(activation, gate: gate, up: up)
        output = try backend.linear(inner, weights: [expert.down], biases: [nil])[0]
    }

    /// The gradient of x from that of the output; those of the weights are added to theirs.
    func backward(_ gradient: Tensor) throws -> Tensor {
        let gradientBackend = x.storage.runtime.gradientBackend
        func add(_ gradient: Tensor, _ x: Tensor, to weight: Tensor) throws {
            try weight.variable?.accumulate {
                try gradientBackend.accumulateLinearGradient(gradient, x: x, into: &$0, half: weight.dtype != .float32)
            }
        }
        try add(gradient, inner, to: expert.down)
        let wide = try gradientBackend.gatedBackward(
            gradientBackend.linearBackward([gradient], weights: [expert.down]), activation, gate: gate, up: up)
        try add(wide.gate, x, to: expert.gate)
        try add(wide.up, x, to: expert.up)
        return try gradientBackend.linearBackward([wide.gate, wide.up], weights: [expert.gate, expert.up])
    }
}
