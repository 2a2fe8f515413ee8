/// A causal convolution of every channel by itself over a few tokens of x (B, T, D), as gated linear models have it
/// before their recurrence (Dao and Gu 2024, arXiv 2405.21060; Yang et al. 2024, arXiv 2412.06464):
///
///     result[t] = act(bias + Σ_j weight[j] · x[t - W + 1 + j]),   j = 0 ..< W
public struct ShortConvolution: Sendable {
    /// (B, T, D).
    let x: Tensor
    /// (D, W), float32, the token itself having the last.
    let weight: Tensor
    /// (D), float32; nil for nothing.
    let bias: Tensor?
    /// nil for none.
    let activation: Activation?
    /// The W - 1 tokens before the first, (B, W - 1, D), which the row's first document sees; nil for zeros.
    let state: Tensor?
    let documents: Documents?

    /// The most tokens, W.
    public static let mostWidth = 16

    /// Tokens that are weighed together, W.
    var width: Int { weight.shape[1] }
    /// That of a state.
    var stateShape: [Int] { [x.shape[0], width - 1, x.shape[2]] }
}

/// Gradients of what a ``ShortConvolution`` takes, of the same shapes; nil where it takes nothing.
public struct ShortConvolutionGradients: Sendable {
    let x: Tensor
    let weight: Tensor
    let bias: Tensor?
    let state: Tensor?
}

extension Tensor {
    /// ``ShortConvolution`` of self (B, T, D) with weight (D, W) and bias (D), float32: (B, T, D).
    /// - Parameters:
    ///   - state: the W - 1 tokens before the first, (B, W - 1, D), as activations, zeros where there are none; it
    ///     becomes those before the next. Of more than one document the first has the state, and the last leaves it.
    ///   - documents: no document sees another.
    public func shortConvolution(
        weight: Tensor, bias: Tensor? = nil, activation: Activation? = nil, state: inout Tensor,
        documents: Documents? = nil
    ) throws -> Tensor {
        let call = try shortConvolution(weight, bias, activation, state, documents)
        try state.requireActivation("shortConvolution", "state", call.stateShape)
        let (result, final) = try Tensor.run(call, isStateWanted: true)
        if let final { state = final }
        return result
    }

    /// The same for whole sequences: with nothing before the first token, and without a state.
    public func shortConvolution(
        weight: Tensor, bias: Tensor? = nil, activation: Activation? = nil, documents: Documents? = nil
    ) throws -> Tensor {
        try Tensor.run(shortConvolution(weight, bias, activation, nil, documents), isStateWanted: false).result
    }

    /// The call, checked but for the state.
    private func shortConvolution(
        _ weight: Tensor, _ bias: Tensor?, _ activation: Activation?, _ state: Tensor?, _ documents: Documents?
    ) throws -> ShortConvolution {
        let operation = "shortConvolution"
        try requireActivation(operation, "x", [nil, nil, nil])
        guard shape[1] > 0, shape.allSatisfy({ $0 <= Int32.max }) else {
            throw TensorError.shape(
                operation: operation, argument: "x", expected: "at least one token, and no extent of 2³¹", found: shape)
        }
        try weight.require(operation, "weight", [shape[2], nil])
        guard (1...ShortConvolution.mostWidth).contains(weight.shape[1]) else {
            throw TensorError.shape(
                operation: operation, argument: "weight",
                expected: "[\(shape[2]), 1 to \(ShortConvolution.mostWidth)]", found: weight.shape)
        }
        try bias?.require(operation, "bias", [shape[2]])
        try Tensor.requireDocuments(documents, batch: shape[0], length: shape[1], operation)
        try requireDevice(operation, [weight, bias, state, documents?.rows])
        return ShortConvolution(
            x: self, weight: weight, bias: bias, activation: activation, state: state, documents: documents)
    }

    private static func run(
        _ call: ShortConvolution, isStateWanted: Bool
    ) throws -> (result: Tensor, state: Tensor?) {
        let backend = call.x.storage.runtime.backend
        let gradientBackend = call.x.storage.runtime.gradientBackend
        let (result, final) = try backend.shortConvolution(call, isStateWanted: isStateWanted)
        let arguments = [call.x, call.weight, call.bias, call.state]
        let results = Tensor.record([result] + (final.map { [$0] } ?? []), of: arguments) { gradients in
            // Where the outputs were not used, their gradient is zero.
            let gradient = try gradients[0] ?? .zeros(result.shape, result.dtype, on: result.device)
            let found = try gradientBackend.shortConvolutionBackward(
                gradient, call, finalGradient: gradients.count > 1 ? gradients[1] : nil)
            for (argument, gradient) in zip(arguments, [found.x, found.weight, found.bias, found.state]) {
                if let gradient { try argument?.variable?.add(gradient) }
            }
        }
        return (results[0], results.count > 1 ? results[1] : nil)
    }

    /// x / √(Σ x² + ε) over the last dimension: rows of length 1, or less where they are short.
    public func l2Normed(epsilon: Float) throws -> Tensor {
        try requireActivation("l2Normed", "x")
        _ = try requireLastDimension("l2Normed", "x")
        let backend = storage.runtime.backend
        let gradientBackend = storage.runtime.gradientBackend
        return try backend.l2Normed(self, epsilon: epsilon).recorded(of: self) {
            try variable?.add(gradientBackend.l2NormedBackward($0, x: self, epsilon: epsilon))
        }
    }
}
