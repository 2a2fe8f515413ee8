import Foundation
import Models
import Tokenizers

/// How well a model predicts a text, in windows of equal length without overlap, each read without what came before.
/// Window i holds tokens i·T ... i·T + T - 1 and predicts the token after each; a rest shorter than T is left out,
/// unless it is the whole text. No BOS token is added.
public struct Perplexity: Sendable {
    /// Tokens predicted.
    public let tokens: Int
    /// Windows that were read.
    public let windows: Int
    /// Windows that the whole text has.
    public let availableWindows: Int
    /// UTF-8 bytes of the tokens predicted.
    public let bytes: Int
    /// Negative log-likelihood of all tokens, nats.
    public let totalLoss: Double
    /// Sum of the loss and number of tokens at every position of a window.
    public let lossByPosition: [Double]
    /// Seconds that the model took.
    public let seconds: Double

    /// exp(loss per token).
    public var perplexity: Double { exp(totalLoss / Double(tokens)) }
    /// Loss in bits per byte of text, comparable between tokenizers.
    public var bitsPerByte: Double { totalLoss / log(2) / Double(max(1, bytes)) }
    /// Tokens predicted per second.
    public var tokensPerSecond: Double { Double(tokens) / seconds }

    /// Perplexity of the tokens at positions within each of `ranges` of a window.
    public func perplexity(at range: Range<Int>) -> Double {
        exp(lossByPosition[range].reduce(0, +) / Double(range.count * windows))
    }

    /// The tenths of a window, which show whether a long text is predicted as well at its end; none of a window shorter than 10.
    public var tenths: [Range<Int>] {
        let length = lossByPosition.count
        return length < 10 ? [] : (0..<10).map { $0 * length / 10..<($0 + 1) * length / 10 }
    }

    /// Ranges of this window's positions that double, as ``positionRanges(length:)`` has them.
    public var positionRanges: [Range<Int>] { Self.positionRanges(length: lossByPosition.count) }

    /// Ranges of positions that double: 0..<16, 16..<32, 32..<64, ..., to the end of a window of `length` tokens.
    public static func positionRanges(length: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var (start, end) = (0, min(16, length))
        while start < length {
            ranges.append(start..<end)
            (start, end) = (end, min(2 * end, length))
        }
        return ranges
    }

    /// Measures `model` on `text`.
    /// - Parameters:
    ///   - window: tokens per window, T.
    ///   - limit: the most windows to read; nil reads all.
    ///   - progress: called with windows done and in all and the perplexity so far; throwing stops.
    /// - Throws: ``EvaluationError`` when the text has fewer than two tokens or the loss is not finite.
    public static func measure(
        _ model: DecoderModel, tokenizer: Tokenizer, text: String, window: Int = 1024, limit: Int? = nil,
        progress: (Int, Int, Double) throws -> Void = { _, _, _ in }
    ) throws -> Perplexity {
        let tokens = try tokenizer.encode(text, addSpecialTokens: false)
        guard tokens.count > 1 else { throw EvaluationError.textTooShort(tokens: tokens.count) }
        let length = min(window, tokens.count - 1)
        let available = (tokens.count - 1) / length
        let windows = min(available, limit ?? available)
        var lossByPosition = [Double](repeating: 0, count: length)
        var (total, bytes) = (0.0, 0)
        let start = ContinuousClock.now
        for index in 0..<windows {
            let span = Array(tokens[index * length...(index + 1) * length])
            for (position, loss) in try losses(model, span).enumerated() {
                guard loss.isFinite else { throw EvaluationError.nonFiniteLoss(window: index, position: position) }
                lossByPosition[position] += Double(loss)
                total += Double(loss)
            }
            bytes += try tokenizer.decode(Array(span.dropFirst()), skipSpecialTokens: false).utf8.count
            try progress(index + 1, windows, exp(total / Double((index + 1) * length)))
        }
        let elapsed = start.duration(to: .now)
        return Perplexity(
            tokens: windows * length, windows: windows, availableWindows: available, bytes: bytes, totalLoss: total,
            lossByPosition: lossByPosition, seconds: elapsed / .seconds(1))
    }

    /// Tokens of a window that are read at once; the state carries on from one such segment to the next, so that memory does
    /// not grow with the window but through the state. What is read at once shows nothing of how a state holds keys and values.
    private static func segment(_ model: DecoderModel) -> Int { model.cacheType == .float32 ? 8192 : 128 }

    /// The loss of every token of `tokens` but the first, given all before it.
    private static func losses(_ model: DecoderModel, _ tokens: [Int32]) throws -> [Float] {
        let (count, segment) = (tokens.count - 1, segment(model))
        guard count > segment else { return try model.negativeLogLikelihood([tokens]) }
        let state = try model.makeState()
        return try stride(from: 0, to: count, by: segment).flatMap { start in
            try model.negativeLogLikelihood([Array(tokens[start...min(start + segment, count)])], state: state)
        }
    }
}
