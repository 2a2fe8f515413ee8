import Checkpoints
import Foundation
import Tensors

/// Some of a model's weights, by which it is known again: of the MLPs, or the first experts, of its first, its middle and its
/// last layer, which conversion leaves as they are.
public struct WeightSamples: Codable, Sendable, Equatable {
    private var entries: [Entry] = []

    private struct Entry: Codable, Sendable, Equatable {
        var name: String
        /// float32, little-endian.
        var values: Data
    }

    /// Weights that are taken of a matrix.
    private static let count = 32

    /// - Parameter layers: of the model.
    public init(of checkpoint: any Checkpoint, layers: Int) throws {
        for layer in Set([0, layers / 2, layers - 1]).sorted() {
            for map in ["gate_proj", "up_proj", "down_proj"] {
                let names = [ParameterNames.huggingFace.mlp(layer), ParameterNames.huggingFace.expert(layer, 0)]
                    .map { "\($0).\(map).weight" }
                guard let name = names.first(where: { checkpoint.description(of: $0) != nil }) else { continue }
                entries.append(Entry(name: name, values: try Self.sample(checkpoint.load(name, as: .float32))))
            }
        }
    }

    private static func sample(_ tensor: Tensor) throws -> Data {
        guard tensor.count > 0 else { return Data() }
        return try tensor.withElements(Float.self) { weights in
            var values = Data()
            for number in 0..<UInt64(count) {
                // Multiples of the golden ratio: spread evenly, and over all rows and columns.
                let place = number &* 0x9E37_79B9_7F4A_7C15
                let value = weights[Int(place.multipliedFullWidth(by: UInt64(weights.count)).high)]
                withUnsafeBytes(of: value.bitPattern.littleEndian) { values.append(contentsOf: $0) }
            }
            return values
        }
    }

    private static func values(_ data: Data) -> [Double] {
        data.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map {
                let pattern = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self))
                return Double(Float(bitPattern: pattern))
            }
        }
    }

    /// How far `other` is from these: the root mean square of the differences over that of these weights. 0 for equal ones,
    /// some thousandths for the same in 8 bits, some hundredths in 4, about 1.4 for weights that have nothing in common. Nil
    /// when there is nothing to compare.
    public func difference(to other: WeightSamples) -> Double? {
        let found = Dictionary(other.entries.map { ($0.name, $0.values) }) { first, _ in first }
        var (error, size) = (0.0, 0.0)
        for entry in entries {
            guard let values = found[entry.name], values.count == entry.values.count else { continue }
            for (expected, value) in zip(Self.values(entry.values), Self.values(values))
            where expected.isFinite && value.isFinite {
                error += (value - expected) * (value - expected)
                size += expected * expected
            }
        }
        return size > 0 ? (error / size).squareRoot() : nil
    }
}

extension WeightSamples {
    /// A difference that rounding to bfloat16 or float16 makes: nothing to speak of.
    public static let roundingLimit = 0.003
    /// A difference that neither rounding nor further training makes: the weights of another model.
    public static let relationLimit = 0.5

    /// 0.0531 → "5.3%".
    public static func percent(_ difference: Double) -> String { String(format: "%.1f%%", 100 * difference) }
}
