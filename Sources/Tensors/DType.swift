import CKernels

/// The element type of a ``Tensor``.
public enum DType: String, Sendable, CaseIterable, Codable {
    case float64, float32, float16, bfloat16, int64, int32, uint8, bool
    /// Weight matrices (O, I), I a multiple of 32, of 8-bit codes: scale · (code - 128), with a float16 scale for every
    /// 32 inputs of an output. 8.5 bits a weight.
    case q8
    /// Weight matrices (O, I), I a multiple of 32, of 4-bit codes: row scale · scale · (code - zero / 16), with a byte of
    /// scale and one of zero for every 32 inputs of an output, and a float32 row scale. 4.5 bits a weight.
    case q4

    /// Bytes per element of a plain type. Those of a quantised tensor follow from its shape alone: ``byteCount(of:)``;
    /// its memory is addressed by the byte.
    public var size: Int {
        switch self {
        case .float64, .int64: 8
        case .float32, .int32: 4
        case .float16, .bfloat16: 2
        case .uint8, .bool, .q8, .q4: 1
        }
    }

    /// Whether elements are floating-point numbers.
    public var isFloatingPoint: Bool {
        switch self {
        case .float64, .float32, .float16, .bfloat16: true
        case .int64, .int32, .uint8, .bool, .q8, .q4: false
        }
    }

    /// Whether tensors are weights of small integers that share scales: products and embeddings read them, nothing else.
    public var isQuantised: Bool { self == .q8 || self == .q4 }

    /// Bytes of a tensor of `shape`; nil where it can have none: a negative extent, a quantised tensor that is not (O, I)
    /// with I a positive multiple of 32, or more bytes than memory can hold.
    public func byteCount(of shape: [Int]) -> Int? {
        // As if empty extents were 1, so that no partial product overflows later either. An element of a quantised
        // weight takes at most 4 bytes, its padding and scales included, once O is rounded up to whole tile rows.
        var bytes = isQuantised ? 4 : size
        for (index, extent) in shape.enumerated() {
            guard extent >= 0 else { return nil }
            let padding = isQuantised && index == 0 ? moult_tile_outputs - 1 : 0
            let (padded, wraps) = extent.addingReportingOverflow(padding)
            let (product, overflow) = bytes.multipliedReportingOverflow(by: max(padded, 1))
            guard !wraps, !overflow, product <= Int.max - 64 else { return nil }
            bytes = product
        }
        guard isQuantised, let type = kernelType else { return shape.contains(0) ? 0 : bytes }
        guard shape.count == 2, shape[1] > 0, shape[1] % moult_group_inputs == 0 else { return nil }
        return Int(moult_weight_bytes(type, Int64(shape[0]), Int64(shape[1])))
    }
}

/// A Swift type that a tensor's elements can be read as.
public protocol TensorElement: BitwiseCopyable, Sendable {
    /// The type of a tensor of such elements.
    static var dtype: DType { get }
}

extension Double: TensorElement { public static var dtype: DType { .float64 } }
extension Float: TensorElement { public static var dtype: DType { .float32 } }
extension BFloat16: TensorElement { public static var dtype: DType { .bfloat16 } }
extension Float16: TensorElement { public static var dtype: DType { .float16 } }
extension Int64: TensorElement { public static var dtype: DType { .int64 } }
extension Int32: TensorElement { public static var dtype: DType { .int32 } }
extension UInt8: TensorElement { public static var dtype: DType { .uint8 } }
extension Bool: TensorElement { public static var dtype: DType { .bool } }

/// A 16-bit float with float32's exponent: the upper half of a float32.
public struct BFloat16: BitwiseCopyable, Sendable, Equatable {
    /// Sign, 8 bits of exponent and 7 of fraction.
    public var bits: UInt16

    /// The number with these bits.
    public init(bits: UInt16) { self.bits = bits }

    /// Rounds to nearest, ties to even; NaN stays NaN.
    public init(_ value: Float) {
        let pattern = value.bitPattern
        if value.isNaN {
            bits = UInt16(truncatingIfNeeded: pattern >> 16) | 0x40
        } else {
            bits = UInt16(truncatingIfNeeded: (pattern &+ 0x7FFF &+ ((pattern >> 16) & 1)) >> 16)
        }
    }

    /// The same number, exactly.
    public var float: Float { Float(bitPattern: UInt32(bits) << 16) }
}
