import Models
import Tensors

/// The recorded step of one sequence, on whichever device its model is.
protocol SequenceStep {
    /// Reads `token` after what the sequence has seen.
    func read(_ token: Int32) throws

    /// Calls `body` with the logits (vocabulary) of the token after the last one read.
    func withLogits<Result>(_ body: (UnsafeBufferPointer<Float>) throws -> Result) throws -> Result
}

extension DecoderModel {
    /// - Parameter state: of one sequence, which the step advances.
    func makeStep(_ state: DecoderState) throws -> any SequenceStep {
        device.traits.recordsWork
            ? DeviceSequenceStep(step: try DeviceStep(self, state: state))
            : HostSequenceStep(step: try DecoderStep(self), state: state)
    }
}

private struct HostSequenceStep: SequenceStep {
    let step: DecoderStep
    let state: DecoderState

    func read(_ token: Int32) throws { try step.read([token], states: [state]) }

    func withLogits<Result>(_ body: (UnsafeBufferPointer<Float>) throws -> Result) throws -> Result {
        try step.withLogits(body)
    }
}

private struct DeviceSequenceStep: SequenceStep {
    let step: DeviceStep

    func read(_ token: Int32) throws { try step.read([token]) }

    func withLogits<Result>(_ body: (UnsafeBufferPointer<Float>) throws -> Result) throws -> Result {
        guard let logits = step.logits else { throw GenerationError.emptyPrompt }
        return try logits.withElements(Float.self, body)
    }
}
