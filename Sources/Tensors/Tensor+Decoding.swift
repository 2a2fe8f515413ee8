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
}

/// The tokens of R sequences that are decoded together by recorded work, each at a position of its own.
public struct DecodingRows: Sendable {
    /// The tokens that are read next (R, 1), int32.
    public let ids: Tensor
    /// The positions at which they stand (R), int32.
    public let positions: Tensor
    /// 1 for the rows that go on when a step is done, else 0 (R), int32.
    public let taking: Tensor
    /// The tokens that were picked last (R), int32: -1 for a row whose logits were not finite.
    private let picked: Tensor

    /// Zeros on `device`, for `rows` sequences, R.
    public init(rows: Int, on device: Device) throws {
        ids = try .zeros([rows, 1], .int32, on: device)
        positions = try .zeros([rows], .int32, on: device)
        taking = try .zeros([rows], .int32, on: device)
        picked = try .zeros([rows], .int32, on: device)
    }

    /// The rows that take part go on to their next positions.
    public func advance() throws { try ids.recordingBackend("advance").advance(positions, taking: taking) }

    /// Picks the next token of each row by `logits` (R, O), float32, which become ``ids``.
    /// - Returns: them, -1 for a row whose logits are not finite.
    public func pick(_ choices: [TokenChoice], from logits: Tensor) throws -> [Int32] {
        try logits.require("pick", "logits", [choices.count, nil])
        guard choices.count == positions.count else {
            throw TensorError.shape(
                operation: "pick", argument: "choices", expected: "\(positions.count)", found: [choices.count])
        }
        try logits.recordingBackend("pick", with: ids).pick(choices, from: logits, into: picked, ids: ids)
        return try picked.array(Int32.self)
    }
}

/// The angles by which the heads of R sequences turn, each at a position of its own, for recorded work.
public struct RowAngles: Sendable {
    /// (R, K/2), float32.
    public let cosines: Tensor
    /// (R, K/2), float32.
    public let sines: Tensor
    /// Radians per token of each row (R, K/2), float32.
    private let frequencies: Tensor
    /// No position counts for more.
    private let farthest: Int32
    /// What cosines and sines are multiplied by.
    private let factor: Float
    /// Beyond n = `trained` tokens also by ln(min(n, most)) / ln(trained); nil for none.
    private let growth: (trained: Int32, most: Int32)?

    /// - Parameters:
    ///   - rows: sequences, R.
    ///   - pairs: of a head, K/2.
    ///   - farthest: no position counts for more.
    ///   - factor: what cosines and sines are multiplied by.
    ///   - growth: beyond n = `trained` tokens also by ln(min(n, most)) / ln(trained); nil for none.
    public init(
        rows: Int, pairs: Int, farthest: Int, factor: Float, growth: (trained: Int, most: Int)?, on device: Device
    ) throws {
        (cosines, sines) = (try .zeros([rows, pairs], on: device), try .zeros([rows, pairs], on: device))
        frequencies = try .zeros([rows, pairs], on: device)
        (self.farthest, self.factor) = (Int32(clamping: farthest), factor)
        self.growth = growth.map { (Int32(clamping: $0.trained), Int32(clamping: $0.most)) }
    }

    /// Sets the frequencies of one row, radians per token.
    public func set(row: Int, frequencies values: [Float]) throws {
        try frequencies.rows(row..<row + 1).overwrite(values)
    }

    /// Computes all rows for `positions` (R), int32, in this place.
    public func compute(_ positions: Tensor) throws {
        try cosines.recordingBackend("angles", with: positions).angles(
            positions, frequencies: frequencies, farthest: Int(farthest), factor: factor,
            trained: Int(growth?.trained ?? 0), most: Int(growth?.most ?? .max), cosines: cosines, sines: sines)
    }
}

/// How the next token of a sequence is picked from its logits, in the order of the properties.
public struct TokenChoice: Sendable {
    /// Tokens that were seen lately, whose positive logits are divided by ``repetitionPenalty`` and negative ones multiplied.
    public var recent: [Int32]
    /// 1 changes nothing.
    public var repetitionPenalty: Float
    /// Divides all logits; 0 takes the likeliest token, and nothing below then matters.
    public var temperature: Float
    /// Keeps so many of the likeliest, and those as likely as the last of them; nil keeps all.
    public var topK: Int?
    /// Keeps the fewest of the likeliest that have this share of the probability, and those as likely as the last of them.
    public var topP: Float
    /// Keeps those with at least this share of the likeliest one's probability.
    public var minP: Float
    /// The state of a SplitMix64 generator, whose next number picks.
    public var random: UInt64

    /// Of several choices by default the likeliest token's.
    public init(
        recent: [Int32] = [], repetitionPenalty: Float = 1, temperature: Float = 0, topK: Int? = nil, topP: Float = 1,
        minP: Float = 0, random: UInt64 = 0
    ) {
        (self.recent, self.repetitionPenalty, self.temperature) = (recent, repetitionPenalty, temperature)
        (self.topK, self.topP, self.minP, self.random) = (topK, topP, minP, random)
    }

    /// As the kernel reads it.
    var words: [Int32] {
        func bits(_ x: Float) -> Int32 { Int32(bitPattern: x.bitPattern) }
        return [
            bits(temperature), Int32(clamping: topK ?? 0), bits(topP), bits(minP), bits(repetitionPenalty),
            repetitionPenalty == 1 ? 0 : Int32(clamping: recent.count), Int32(truncatingIfNeeded: random),
            Int32(truncatingIfNeeded: random >> 32),
        ]
    }
}
