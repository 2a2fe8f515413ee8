import CKernels

/// How the rounding errors of a weight make up for each other: the factors of H + damping = U D Uᵀ, where H is the
/// second moment of the weight's inputs, U unit upper triangular and D diagonal (LDLQ, Chee et al. 2023, arXiv
/// 2307.13304, section 3; the same numbers as GPTQ's, Frantar et al. 2022, arXiv 2210.17323). Weights of the same inputs
/// share it.
public struct ErrorFeedback: Sendable {
    /// Inputs, I.
    public let inputs: Int
    /// U in panels, as moult_quantise.h describes them.
    let panels: Tensor
    /// D (I).
    let importance: Tensor

    /// Factors the moment.
    /// - Parameters:
    ///   - moment: of inputs that are a multiple of 32.
    ///   - damping: is added to the diagonal, in units of its mean; above 0. It keeps the feedback from following the
    ///     chance of a short text.
    /// - Throws: ``TensorError`` when the moment has no rows, is not finite or has other inputs; out of memory.
    public init(_ moment: InputMoment, damping: Float = 0.1) throws {
        let inputs = moment.inputs
        guard let sum = moment.sum, inputs > 0, inputs % Int(moult_group_inputs) == 0 else {
            throw TensorError.range(
                operation: "ErrorFeedback", argument: "moment", expected: "rows of a multiple of 32 inputs",
                found: "\(moment.rows) rows of \(inputs) inputs")
        }
        let mean = try sum.withElements(Float.self) { sum in
            (0..<inputs).reduce(0.0) { $0 + Double(sum[$1 * (inputs + 1)]) } / Double(inputs)
        }
        guard mean.isFinite, damping > 0 else {
            throw TensorError.range(
                operation: "ErrorFeedback", argument: "moment", expected: "finite inputs and a damping above 0",
                found: "a mean square of \(mean) and a damping of \(damping)")
        }
        self.inputs = inputs
        var importance = try Tensor.empty([inputs])
        panels = try withExtendedLifetime(sum) {
            try .filled([Int(moult_feedback_floats(Int64(inputs)))]) { panels in
                try importance.withMutable(Float.self) {
                    // Inputs that are all zero teach nothing; the damping then weighs every one the same.
                    let damping = mean > 0 ? damping * Float(mean) : 1
                    moult_feedback(sum.floats, Int64(inputs), damping, panels, $0.baseAddress)
                }
            }
        }
        self.importance = importance
    }
}
