import Tensors

/// How a model's weights are rounded.
public struct QuantisationOptions: Sendable {
    /// Bits of a code: 8 or 4.
    public var bits = 8
    /// Inputs of an output that share a scale: 32.
    public var groupSize = 32
    /// Token ids of texts that do not see each other, on which 4-bit rounding is calibrated; empty for none.
    public var calibration: [[Int32]] = []

    public init() {}

    /// The type of rounded weights.
    /// - Throws: ``ConversionError/option(name:expected:found:)``.
    func dtype() throws -> DType {
        guard groupSize == 32 else {
            throw ConversionError.option(
                name: "--group-size", expected: "32, which the kernels' layout is made for", found: "\(groupSize)")
        }
        switch bits {
        case 8: return .q8
        case 4: return .q4
        default: throw ConversionError.option(name: "--bits", expected: "8 or 4", found: "\(bits)")
        }
    }
}
