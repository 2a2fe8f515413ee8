import Checkpoints
import Foundation
import Support
import Tensors

/// What a quantisation did: for people and as JSON.
public struct QuantisationReport: Sendable {
    /// The source's folder or file.
    public let sourcePath: String
    /// Bits of a code in the layers: 8 or 4.
    public let bits: Int
    /// Tokens that the rounding was calibrated on.
    public let calibrationTokens: Int
    /// In the order of the files.
    public let tensors: [Entry]
    /// Why the result has no tokenizer.
    public var tokenizerWarning: String?

    /// One tensor.
    public struct Entry: Sendable, Equatable {
        /// The tensor's name.
        public let name: String
        /// Extents, outermost first.
        public let shape: [Int]
        /// The type that it has now.
        public let dtype: DType
        /// Bytes that it takes now, scales included.
        public let byteCount: Int
        /// The rounding's error as a share of the weights, root mean squares of both; nil for a tensor that stayed.
        public let relativeError: Double?
        /// The share of groups whose zero is in the middle of the codes, from 0 to 1.
        public let symmetricShare: Double?

        /// Number of elements.
        public var count: Int { shape.reduce(1, *) }
    }

    /// The tensors that were rounded.
    public var quantised: [Entry] { tensors.filter { $0.dtype.isQuantised } }
    /// Elements of all tensors.
    public var parameters: Int { tensors.reduce(0) { $0 + $1.count } }
    /// Bytes of all tensors.
    public var byteCount: Int { tensors.reduce(0) { $0 + $1.byteCount } }
    /// Bits of file per parameter.
    public var bitsPerParameter: Double { 8 * Double(byteCount) / Double(max(1, parameters)) }

    /// The report as JSON, with an object for each tensor.
    public var json: JSONObject {
        [
            "source": .string(sourcePath), "bits": .integer(bits), "group_size": 32,
            "calibration_tokens": .integer(calibrationTokens), "parameters": .integer(parameters),
            "bytes": .integer(byteCount), "bits_per_parameter": .number(bitsPerParameter),
            "tensors": .array(
                tensors.map {
                    .object([
                        "name": .string($0.name), "shape": .array($0.shape.map { .integer($0) }),
                        "type": .string($0.dtype.rawValue), "bytes": .integer($0.byteCount),
                        "relative_error": $0.relativeError.map { .number($0) } ?? .null,
                        "symmetric_share": $0.symmetricShare.map { .number($0) } ?? .null,
                    ])
                }),
        ]
    }

    /// A few lines for the terminal: the tensors of one kind, of all layers, on one line.
    public var summary: String {
        var lines = ["  \(Self.pad("tensors", 52)) \(Self.pad("type", 8))  error  symmetric"]
        for kind in kinds {
            let label = kind.entries.count > 1 ? "\(kind.pattern) × \(kind.entries.count)" : kind.pattern
            var line = "  \(Self.pad(label, 52)) \(Self.pad(kind.entries[0].dtype.rawValue, 8))"
            let errors = kind.entries.compactMap(\.relativeError), shares = kind.entries.compactMap(\.symmetricShare)
            if !errors.isEmpty {
                line += String(format: " %5.2f%%", 100 * errors.reduce(0, +) / Double(errors.count))
                line += String(format: " %9.0f%%", 100 * shares.reduce(0, +) / Double(shares.count))
            }
            lines.append(line)
        }
        lines.append(
            "  \(ConversionReport.grouped(parameters)) parameters in \(ConversionReport.grouped(byteCount)) bytes, "
                + String(format: "%.2f bits each", bitsPerParameter))
        if let tokenizerWarning { lines.append("  warning: \(tokenizerWarning)") }
        return lines.joined(separator: "\n")
    }

    /// Tensors whose names differ in the layer's number alone, in the order of their first.
    private var kinds: [(pattern: String, entries: [Entry])] {
        var kinds: [(pattern: String, entries: [Entry])] = []
        for entry in tensors {
            let pattern = ConversionReport.pattern(entry.name)
            if let place = kinds.firstIndex(where: { $0.pattern == pattern }) {
                kinds[place].entries.append(entry)
            } else {
                kinds.append((pattern, [entry]))
            }
        }
        return kinds
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
