// TEMPORARY
extension Tensor {
    public func logits(head: Tensor, cap: Float?) throws -> Tensor { try logits(head: head) }
    public func negativeLogLikelihood(head: Tensor, targets: [Int32], cap: Float?) throws -> [Float] { try negativeLogLikelihood(head: head, targets: targets) }
}
extension RecordedStep {
    public func logits(_ x: Rows, head: Tensor, cap: Float?) throws -> Rows { try linear(x, weights: [head], biases: [nil])[0] }
}
