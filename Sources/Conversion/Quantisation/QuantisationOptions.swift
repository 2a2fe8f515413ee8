import Tensors

/// How a model's weights are rounded.
public struct QuantisationOptions: Sendable {
    /// Bits of a code: 8 or 4.
    public var bits = 8
    /// Bits of a code in the embedding and the head, whose errors reach the logits directly: 8 or 4. Nil takes 8.
    public var embeddingBits: Int?
    /// Inputs of an output that share a scale: 32.
    public var groupSize = 32
    /// Token ids of texts that do not see each other, on which 4-bit rounding is calibrated; empty for none.
    public var calibration: [[Int32]] = []
    /// The name of the file that those are from.
    public var calibrationText: String?

    /// The defaults: 8 bits, without calibration.
    public init() {}

    /// The types of rounded weights: of the layers' matrices, and of the embedding and the head.
    /// - Throws: ``ConversionError/option(name:expected:found:)``.
    func types() throws -> (layers: DType, embedding: DType) {
        guard groupSize == 32 else {
            throw ConversionError.option(
                name: "groupSize", expected: "32, which the kernels' layout is made for", found: "\(groupSize)")
        }
        func type(_ name: String, _ bits: Int) throws -> DType {
            switch bits {
            case 8: return .q8
            case 4: return .q4
            default: throw ConversionError.option(name: name, expected: "8 or 4", found: "\(bits)")
            }
        }
        return (try type("bits", bits), try type("embeddingBits", embeddingBits ?? 8))
    }
}
