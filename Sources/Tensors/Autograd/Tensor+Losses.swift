/// The losses: each gives its value and puts the first gradients in place, for ``GradientTape/playBack()`` to carry on.
/// Made together with the loss, they cost no second pass over the vocabulary.
extension Tensor {
    /// The negative log-likelihood, in nats, of one target per row under softmax(self · headᵀ): self (..., D),
    /// head (O, D). A target of -1 leaves its row out, with a loss of 0. Logits are held for a block of rows at a time.
    /// - Parameters:
    ///   - scale: the loss that is differentiated is scale · Σ losses.
    ///   - cap: logits are cap · tanh(logit / cap); nil for none.
    public func crossEntropy(head: Tensor, targets: [Int32], scale: Float, cap: Float? = nil) throws -> [Float] {
        try head.requireShape("crossEntropy", "head", [nil, nil])
        try Tensor.requireIds(targets.map { max($0, 0) }, below: head.shape[0], "crossEntropy", "targets")
        let ids = try Tensor(targets, shape: [targets.count]).to(device)
        return try crossEntropy(head: head, targets: ids, scale: scale, cap: cap).array()
    }

    /// The same for `targets` in a tensor, int32 (R), all within the head.
    /// - Parameters:
    ///   - factor: a float32 scalar that the loss is multiplied with too.
    ///   - weights: of the rows' losses, float32 (R).
    public func crossEntropy(
        head: Tensor, targets: Tensor, scale: Float, factor: Tensor? = nil, weights: Tensor? = nil, cap: Float? = nil
    ) throws -> Tensor {
        let operation = "crossEntropy"
        try Tensor.requireCap(cap, operation)
        let rows = try rows(operation, against: head)
        try weights?.requireWeights(operation, rows)
        guard targets.count == rows else {
            throw TensorError.range(
                operation: operation, argument: "targets", expected: "\(rows), one per row", found: "\(targets.count)")
        }
        return try differentiating(head) { headGradient in
            try gradientBackend(operation, with: head, targets, factor, weights).crossEntropy(
                self, head: head.detached, cap: cap, targets: targets,
                weighting: .init(scale: scale, factor: factor, weights: weights), headGradient: &headGradient)
        }
    }

    /// The divergence KL(teacher ‖ student), in nats, of every row's two next-token distributions, the student's being
    /// softmax(self · headᵀ) (Hinton et al. 2015, arXiv 1503.02531). Nothing of the teacher's is differentiated.
    /// - Parameters:
    ///   - scale: the loss that is differentiated is scale · Σ losses.
    ///   - factor: a float32 scalar that the loss is multiplied with too.
    ///   - weights: of the rows' losses, float32 (R).
    ///   - cap: the student's logits are cap · tanh(logit / cap); nil for none.
    ///   - teacherCap: the same of the teacher's.
    public func klDivergence(
        head: Tensor, teacher: Tensor, teacherHead: Tensor, scale: Float, factor: Tensor? = nil, weights: Tensor? = nil,
        cap: Float? = nil, teacherCap: Float? = nil
    ) throws -> Tensor {
        let operation = "klDivergence"
        try Tensor.requireCap(cap, operation)
        try Tensor.requireCap(teacherCap, operation)
        let rows = try rows(operation, against: head)
        try weights?.requireWeights(operation, rows)
        guard try teacher.rows(operation, against: teacherHead) == rows, teacherHead.shape[0] == head.shape[0] else {
            throw TensorError.shape(
                operation: operation, argument: "teacherHead",
                expected: "a vocabulary of \(head.shape[0]) and \(rows) rows", found: teacherHead.shape)
        }
        return try differentiating(head) { headGradient in
            try gradientBackend(operation, with: head, teacher, teacherHead, factor, weights).klDivergence(
                self, head: head.detached, cap: cap, teacherHidden: teacher.detached,
                teacherHead: teacherHead.detached, teacherCap: teacherCap,
                weighting: .init(scale: scale, factor: factor, weights: weights), headGradient: &headGradient)
        }
    }

    /// How far self is from `target`, of one shape: mean((self - target)²) / mean(target²), which is 0 for a copy and 1
    /// for zeros.
    /// - Parameter factor: a float32 scalar that the loss is multiplied with; nil for 1.
    public func relativeSquaredError(to target: Tensor, factor: Tensor? = nil) throws -> Tensor {
        let operation = "relativeSquaredError"
        try requireActivation(operation, "x")
        try target.requireActivation(operation, "target", shape)
        let (loss, gradient) = try gradientBackend(operation, with: target, factor)
            .meanSquaredError(detached, target: target.detached)
        guard let factor else {
            try variable?.add(gradient)
            return loss
        }
        try variable?.add(Tensor.pointwise(gradient, factor, as: gradient.dtype) { x, factor in x * factor })
        return try Tensor.pointwise(loss.converted(to: .float32), factor, as: .float32) { x, factor in x * factor }
    }

    /// The number of rows of self (..., D), which `head` (O, D) fits.
    private func rows(_ operation: String, against head: Tensor) throws -> Int {
        try requireActivation(operation, "hidden")
        let inputs = try requireLastDimension(operation, "hidden")
        try head.requireTrainableWeight(operation, "head")
        try head.requireShape(operation, "head", [nil, inputs])
        return count / inputs
    }

    /// Refuses what is no weight for each of `rows` rows.
    private func requireWeights(_ operation: String, _ rows: Int) throws {
        try requireFloat32(operation, "weights")
        try requireShape(operation, "weights", [rows])
    }

    /// Runs a loss of self and `head`, and adds its gradients to the two of them that are watched.
    private func differentiating(
        _ head: Tensor, _ body: (inout Tensor?) throws -> (losses: Tensor, hiddenGradient: Tensor)
    ) throws -> Tensor {
        var headGradient =
            head.variable == nil ? nil : try head.variable?.takeGradient() ?? .zeros(head.shape, on: head.device)
        let (losses, gradient) = try body(&headGradient)
        if let headGradient { try head.variable?.add(headGradient) }
        try variable?.add(gradient.reshaped(shape))
        return losses
    }

    /// The sum of the elements, float32, as a scalar.
    public func sum() throws -> Tensor {
        try requireFloat32("sum", "x")
        return try gradientBackend("sum").sum(self)
    }

    /// The one element of a float32 or float64 tensor.
    public func scalar() throws -> Double {
        guard count == 1 else {
            throw TensorError.shape(operation: "scalar", argument: "tensor", expected: "one element", found: shape)
        }
        return dtype == .float64 ? try array(Double.self)[0] : Double(try array(Float.self)[0])
    }
}
