import CKernels

extension CPUBackend {
    /// By blocks of rows, whose logits become their own gradient in place: the logits of all rows are never held.
    public func crossEntropy(
        _ hidden: Tensor, head: Tensor, cap: Float?, targets: Tensor, weighting: LossWeighting,
        headGradient: inout Tensor?
    ) throws -> (losses: Tensor, hiddenGradient: Tensor) {
        let targets = try targets.array(Int32.self)
        return try loss("crossEntropy", hidden, head: head, cap: cap, weighting, headGradient: &headGradient) {
            moult_cross_entropy(&$0, targets)
        }
    }

    public func klDivergence(
        _ hidden: Tensor, head: Tensor, cap: Float?, teacherHidden: Tensor, teacherHead: Tensor, teacherCap: Float?,
        weighting: LossWeighting, headGradient: inout Tensor?
    ) throws -> (losses: Tensor, hiddenGradient: Tensor) {
        let type = try teacherHead.dtype.requiredKernelType(operation: "klDivergence", argument: "teacherHead")
        return try withExtendedLifetime((teacherHidden, teacherHead)) {
            try loss("klDivergence", hidden, head: head, cap: cap, weighting, headGradient: &headGradient) {
                moult_divergence(
                    &$0, teacherHidden.floats, Int64(teacherHead.shape[1]), teacherHead.address, type, teacherCap ?? 0)
            }
        }
    }

    private func loss(
        _ operation: String, _ hidden: Tensor, head: Tensor, cap: Float?, _ weighting: LossWeighting,
        headGradient: inout Tensor?, _ run: (inout moult_loss) -> moult_status
    ) throws -> (losses: Tensor, hiddenGradient: Tensor) {
        let type = try head.dtype.requiredKernelType(operation: operation, argument: "head")
        let (outputs, inputs) = (head.shape[0], head.shape[1])
        let rows = hidden.count / max(inputs, 1)
        let scale = try weighting.factor.map { weighting.scale * Float(try $0.scalar()) } ?? weighting.scale
        var losses = [Float](repeating: 0, count: rows)
        let gradient = try withExtendedLifetime((hidden, head, weighting.weights)) {
            try Tensor.filled(hidden.shape) { hiddenGradient in
                try losses.withUnsafeMutableBufferPointer { losses in
                    var job = moult_loss(
                        rows: Int64(rows), inputs: Int64(inputs), outputs: Int64(outputs), hidden: hidden.floats,
                        head: head.address, type: type, cap: cap ?? 0, scale: scale, weights: weighting.weights?.floats,
                        losses: losses.baseAddress, hidden_gradient: hiddenGradient, head_gradient: nil)
                    let status = try headGradient?.withMutable(Float.self) {
                        job.head_gradient = $0.baseAddress
                        return run(&job)
                    }
                    try (status ?? run(&job)).check(bytes: hidden.byteCount)
                }
            }
        }
        return (try Tensor(losses, shape: [rows]), gradient)
    }

    public func meanSquaredError(_ x: Tensor, target: Tensor) throws -> (loss: Tensor, gradient: Tensor) {
        var loss = 0.0
        let gradient = try withExtendedLifetime((x, target)) {
            try Tensor.filled(x.shape) {
                try moult_squared_error(x.floats, target.floats, Int64(x.count), &loss, $0).check(bytes: x.byteCount)
            }
        }
        return (try Tensor([loss], shape: []), gradient)
    }

    public func sum(_ x: Tensor) throws -> Tensor {
        try Tensor([x.withElements(Float.self) { $0.reduce(0) { $0 + Double($1) } }], shape: [])
    }
}
