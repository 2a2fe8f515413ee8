// TEMPORARY
extension Tensor {
    public func normalised(_ n: Normalisation) throws -> Tensor { try rmsNorm(weight: n.weight, epsilon: n.epsilon) }
    public static func gated(_ a: Activation, gate: Tensor, up: Tensor) throws -> Tensor { try swiglu(gate: gate, up: up) }
    public func activated(_ a: Activation) throws -> Tensor { try silu() }
    public func scaled(by: Float) throws -> Tensor { self }
    public func repeated(_ n: Int) throws -> Tensor { self }
    public func logits(head: Tensor, cap: Float?) throws -> Tensor { try logits(head: head) }
    public func negativeLogLikelihood(head: Tensor, targets: [Int32], cap: Float?) throws -> [Float] { try negativeLogLikelihood(head: head, targets: targets) }
}
extension RecordedStep {
    public struct Places { public func set(row: Int, place: Int) throws {} }
    public func addEmbedding(_ t: Tensor, to x: Rows) throws -> Places { Places() }
    public func embedding(_ t: Tensor, scale: Float) throws -> Rows { try embedding(t) }
    public func norm(_ x: Rows, _ n: Normalisation, readers: [Tensor]) throws -> Rows { try norm(x, weight: n.weight, epsilon: n.epsilon, readers: readers) }
    public func norm(_ x: Rows, _ n: Normalisation, addedTo: Rows) throws {}
    public func gatedLinear(_ x: Rows, gate: (weight: Tensor, bias: Tensor?), up: (weight: Tensor, bias: Tensor?), activation: Activation, readers: [Tensor]) throws -> Rows { try gatedLinear(x, gate: gate, up: up, readers: readers) }
    public func activatedLinear(_ x: Rows, weight: Tensor, bias: Tensor?, activation: Activation, readers: [Tensor]) throws -> Rows { x }
    public func rounded(_ x: Rows, readers: [Tensor]) throws -> Rows { x }
    public func logits(_ x: Rows, head: Tensor, cap: Float?) throws -> Rows { try linear(x, weights: [head], biases: [nil])[0] }
}
