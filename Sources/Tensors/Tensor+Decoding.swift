/// What decoding needs beside the operations of a model. Nothing here is recorded for gradients on a GPU.
extension Tensor {
    /// Logits self (..., D) · headᵀ (D, O) → (..., O), float32 on every device: where they are close, rounding would choose.
    /// - Parameter cap: they are cap · tanh(logit / cap); nil for none.
    public func logits(head: Tensor, cap: Float? = nil) throws -> Tensor {
        try Tensor.requireCap(cap, "logits")
        try requireActivation("logits", "hidden")
        if dtype == .float32, cap == nil { return try linear(head) }
        try head.requireWeight("logits", "head")
        try head.requireShape("logits", "head", [nil, try requireLastDimension("logits", "hidden")])
        return try backend("logits", with: head).logits(detached, head: head, cap: cap)
    }

    /// The index of the largest of each row of self (R, O), float32; of equal ones the first: (R) int32.
    public func indicesOfLargest() throws -> Tensor {
        try require("indicesOfLargest", "self", [nil, nil])
        return try backend("indicesOfLargest").indicesOfLargest(self)
    }

    /// `rope` in recorded work, for self (B, T, H, K) whose first token stands at `position`, int32 in the
    /// device's memory, with row `position` + t mod R of `cosines` and `sines` (R, K/2).
    public func rope(cosines: Tensor, sines: Tensor, position: Tensor) throws -> Tensor {
        try requireActivation("rope", "x", [nil, nil, nil, nil])
        try cosines.require("rope", "cosines", [nil, shape[3] / 2])
        try sines.require("rope", "sines", cosines.shape)
        return try recordingBackend("rope", with: cosines, sines, position)
            .rope(self, cosines: cosines, sines: sines, position: position)
    }
}

/// The tokens of R sequences that are decoded in step by recorded work.
public struct DecodingTokens: Sendable {
    /// The last tokens (R, 1), int32.
    public let ids: Tensor
    /// The position at which they stand: one int32.
    public let position: Tensor
    /// Those that were chosen at position p, in row p mod L: (L, R) int32.
    public let history: Tensor

    /// Zeros on `device`, for `rows` sequences (R) and the last `length` tokens of each (L).
    public init(rows: Int, length: Int, on device: Device) throws {
        ids = try .zeros([rows, 1], .int32, on: device)
        position = try .zeros([1], .int32, on: device)
        history = try .zeros([length, rows], .int32, on: device)
    }

    /// Chooses the likeliest next tokens by `logits` (R, O), float32.
    public func choose(_ logits: Tensor) throws {
        try logits.recordingBackend("choose", with: ids).argmax(logits, into: ids)
    }

    /// Keeps what was chosen and goes on to the next position.
    public func advance() throws {
        try ids.recordingBackend("advance").advance(ids, history: history, position: position)
    }
}
