/// What decoding needs beside the operations of a model. Nothing here is recorded for gradients.
extension Tensor {
    /// Logits self (..., D) · headᵀ (D, O) → (..., O), float32 on every device: where they are close, rounding would choose.
    /// - Parameter cap: they are cap · tanh(logit / cap); nil for none.
    public func logits(head: Tensor, cap: Float? = nil) throws -> Tensor {
        try Tensor.requireCap(cap, "logits")
        if device == .cpu {
            let logits = try linear(head)
            return try cap.map { try CPUBackend.shared.capped(logits.detached, by: $0) } ?? logits
        }
        try requireActivation("logits", "hidden")
        try head.requireShape("logits", "head", [nil, try requireLastDimension("logits", "hidden")])
        return try CUDABackend.opened.get().logits(self, head: head, cap: cap)
    }

    /// The index of the largest of each row of self (R, O), float32; of equal ones the first: (R) int32.
    public func indicesOfLargest() throws -> Tensor {
        try require("indicesOfLargest", "self", [nil, nil])
        if device == .cuda {
            let ids = try Tensor.empty([shape[0]], .int32, on: .cuda)
            try CUDABackend.opened.get().argmax(self, into: ids)
            return ids
        }
        let width = shape[1]
        let indices = try withElements(Float.self) { values in
            (0..<shape[0]).map { row in
                let values = values[row * width..<(row + 1) * width]
                var best = values.startIndex
                for index in values.indices where values[index] > values[best] { best = index }
                return Int32(best - values.startIndex)
            }
        }
        return try Tensor(indices, shape: [shape[0]])
    }

    /// `rope` on a GPU for self (B, T, H, K) whose first token stands at `position`, int32 in the
    /// GPU's memory, with row `position` + t mod R of `cosines` and `sines` (R, K/2).
    public func rope(cosines: Tensor, sines: Tensor, position: Tensor) throws -> Tensor {
        try requireActivation("rope", "x", [nil, nil, nil, nil])
        try cosines.require("rope", "cosines", [nil, shape[3] / 2])
        try sines.require("rope", "sines", cosines.shape)
        return try CUDABackend.opened.get().rotate(self, cosines: cosines, sines: sines, position: position, sign: 1)
    }
}

/// The tokens of R sequences on a GPU that are decoded in step.
public struct DecodingTokens: Sendable {
    /// The last tokens (R, 1), int32.
    public let ids: Tensor
    /// The position at which they stand: one int32.
    public let position: Tensor
    /// Those that were chosen at position p, in row p mod L: (L, R) int32.
    public let history: Tensor

    /// Zeros on the GPU, for `rows` sequences (R) and the last `length` tokens of each (L).
    public init(rows: Int, length: Int) throws {
        ids = try .zeros([rows, 1], .int32, on: .cuda)
        position = try .zeros([1], .int32, on: .cuda)
        history = try .zeros([length, rows], .int32, on: .cuda)
    }

    /// Chooses the likeliest next tokens by `logits` (R, O), float32.
    public func choose(_ logits: Tensor) throws { try CUDABackend.opened.get().argmax(logits, into: ids) }

    /// Keeps what was chosen and goes on to the next position.
    public func advance() throws { try CUDABackend.opened.get().advance(ids, history: history, position: position) }
}
