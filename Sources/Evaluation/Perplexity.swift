import Foundation
import Models
import Text
import Tokenizers

/// How well a model predicts a text, in windows of equal length without overlap, each read without what came before.
/// Window i holds tokens i·T ... i·T + T - 1 and predicts the token after each; a rest shorter than T is left out,
/// unless it is the whole text. Where the tokenizer begins a text with a token (BOS), the model sees it before each window, at
/// position -1: there are models to which text without it is noise. The tokens that are predicted are the same.
///
/// Of documents a window holds several, one behind another, each with the tokens that begin and end one: none sees another, and
/// the first token of one is not predicted.
public struct Perplexity: Sendable {
    /// Tokens predicted.
    public let tokens: Int
    /// Windows that were read.
    public let windows: Int
    /// Windows that the whole text has; nil where it was not read to its end.
    public let availableWindows: Int?
    /// UTF-8 bytes of the tokens predicted, of documents without special tokens.
    public let bytes: Int
    /// Negative log-likelihood of all tokens, nats.
    public let totalLoss: Double
    /// Sum of the loss at every position of a window.
    public let lossByPosition: [Double]
    /// Tokens predicted at every position of a window.
    public let tokensByPosition: [Int]
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
        exp(lossByPosition[range].reduce(0, +) / Double(tokensByPosition[range].reduce(0, +)))
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
        let windows = try TextWindows(
            tokens: tokenizer.encode(text, addSpecialTokens: false), prefix: tokenizer.textPrefix, length: window,
            limit: limit)
        return try measure(model, windows, progress: progress) {
            try tokenizer.decode($0, skipSpecialTokens: false).utf8.count
        }
    }

    /// Measures `model` on documents.
    /// - Parameters:
    ///   - documents: of at least two tokens; for `limit` windows, no more than `limit` · T + 1 are read.
    ///   - window: tokens per window, T.
    ///   - limit: the most windows to read; nil reads all.
    ///   - progress: called with windows done and in all and the perplexity so far; throwing stops.
    /// - Throws: ``EvaluationError`` when nothing is predicted or the loss is not finite.
    public static func measure(
        _ model: DecoderModel, tokenizer: Tokenizer, documents: DocumentTokens, window: Int = 1024, limit: Int? = nil,
        progress: (Int, Int, Double) throws -> Void = { _, _, _ in }
    ) throws -> Perplexity {
        let windows = try TextWindows(
            tokens: documents.tokens, starts: documents.starts, prefix: tokenizer.textPrefix,
            isWhole: documents.isWhole, length: window, limit: limit)
        return try measure(model, windows, progress: progress) {
            try tokenizer.decode($0, skipSpecialTokens: true).utf8.count
        }
    }

    private static func measure(
        _ model: DecoderModel, _ windows: TextWindows, progress: (Int, Int, Double) throws -> Void,
        bytes bytesOf: ([Int32]) throws -> Int
    ) throws -> Perplexity {
        var lossByPosition = [Double](repeating: 0, count: windows.length)
        var tokensByPosition = [Int](repeating: 0, count: windows.length)
        var (total, tokens, bytes) = (0.0, 0, 0)
        let start = ContinuousClock.now
        for index in 0..<windows.count {
            for part in windows[index] {
                for (position, loss) in try losses(model, part.tokens).dropFirst(part.given).enumerated() {
                    let position = part.place + position
                    guard loss.isFinite else { throw EvaluationError.nonFiniteLoss(window: index, position: position) }
                    lossByPosition[position] += Double(loss)
                    tokensByPosition[position] += 1
                    total += Double(loss)
                }
                let predicted = part.tokens.dropFirst(part.given + 1)
                tokens += predicted.count
                bytes += try bytesOf(Array(predicted))
            }
            try progress(index + 1, windows.count, exp(total / Double(tokens)))
        }
        guard tokens > 0 else { throw EvaluationError.textTooShort(tokens: windows.count) }
        let elapsed = start.duration(to: .now)
        return Perplexity(
            tokens: tokens, windows: windows.count, availableWindows: windows.available, bytes: bytes, totalLoss: total,
            lossByPosition: lossByPosition, tokensByPosition: tokensByPosition, seconds: elapsed / .seconds(1))
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
