import Checkpoints
import Support

/// Where kept softmax attention places the tokens that it sees. Softmax attention fails beyond the positions that it was
/// trained on; these are the remedies, which have to be trained.
public struct AttentionPositions: Sendable, Equatable {
    /// What rotary positions are divided by (position interpolation; Chen et al. 2023, arXiv 2306.15595): 1 as the source
    /// has them; nil for no rotation at all, so that order shows in nothing but what is seen (NoPE, which HyPE gives to the
    /// attention of a hybrid; arXiv 2601.22156).
    public var divisor: Double?
    /// Whether queries grow with the logarithm of what they see: see ``LogScale``.
    public var hasLogScale: Bool

    /// As the source places them.
    public static let source = AttentionPositions()

    /// What ``divisor`` may be.
    public static let divisors: ClosedRange<Double> = 1...1024
    /// The same in words, for command lines.
    public static let expected = "\(Int(divisors.lowerBound)) to \(Int(divisors.upperBound)), or \(none)"

    /// Positions divided by `divisor`; without arguments those of the source.
    public init(divisor: Double? = 1, hasLogScale: Bool = false) {
        (self.divisor, self.hasLogScale) = (divisor, hasLogScale)
    }

    /// Reads "4", or "none" for no rotation; nil for anything else.
    public init?(_ text: String) {
        self.init()
        if text == Self.none {
            divisor = nil
        } else {
            guard let number = Double(text), Self.divisors.contains(number) else { return nil }
            divisor = number
        }
    }

    private static let none = "none"

    /// The divisor as command lines and cards have it.
    public var text: String {
        guard let divisor else { return Self.none }
        return Int(exactly: divisor).map(String.init) ?? "\(divisor)"
    }

    /// In words; nil for those of the source.
    public var summary: String? {
        let divided = divisor.map { $0 == 1 ? nil : "positions divided by \(text)" } ?? "without positions"
        let parts = [divided, hasLogScale ? "queries scaled by the logarithm of the tokens seen" : nil].compactMap {
            $0
        }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    // MARK: config.json

    /// Reads "positions" and "log_scale" of the object `key`, where either may be missing.
    /// - Throws: ``ModelError/configuration(key:expected:found:)``.
    init(_ json: JSONObject, key: String) throws {
        self.init()
        switch json["positions"] ?? .null {
        case .null: break
        case .string(Self.none): divisor = nil
        case let found:
            guard let number = found.doubleValue, Self.divisors.contains(number) else {
                throw ModelError.configuration(
                    key: "\(key).positions",
                    expected: "a number from 1 to \(Int(Self.divisors.upperBound)), or '\(Self.none)'",
                    found: found.summary)
            }
            divisor = number
        }
        switch json["log_scale"] ?? .null {
        case .null: break
        case .bool(let value): hasLogScale = value
        case let found:
            throw ModelError.configuration(
                key: "\(key).log_scale", expected: "true or false", found: found.summary)
        }
    }

    /// Adds what is not the source's.
    func write(to json: inout JSONObject) {
        if divisor != 1 { json["positions"] = divisor.map { .number($0) } ?? .string(Self.none) }
        if hasLogScale { json["log_scale"] = .bool(true) }
    }
}
