import Tensors

/// How a tensor's elements are stored in a file: a plain type, one of Moult's quantised types, or one of GGML's. Raw
/// values are the formats' own names.
public enum StoredFormat: String, Sendable, CaseIterable {
    case f64 = "F64"
    case f32 = "F32"
    case f16 = "F16"
    case bf16 = "BF16"
    case i64 = "I64"
    case i32 = "I32"
    case u8 = "U8"
    case bool = "BOOL"
    /// `DType.q8`
    case q8 = "q8"
    /// `DType.q4`
    case q4 = "q4"
    case q40 = "Q4_0"
    case q41 = "Q4_1"
    case q50 = "Q5_0"
    case q51 = "Q5_1"
    case q80 = "Q8_0"
    case q2K = "Q2_K"
    case q3K = "Q3_K"
    case q4K = "Q4_K"
    case q5K = "Q5_K"
    case q6K = "Q6_K"
    case iq4NL = "IQ4_NL"
    case iq4XS = "IQ4_XS"
    // Of these only the size is known: they may stand beside the weights of a model, and are none.
    case i8 = "I8"
    case i16 = "I16"
    case u16 = "U16"
    case u32 = "U32"
    case u64 = "U64"
    case c64 = "C64"
    case f8E4M3 = "F8_E4M3"
    case f8E5M2 = "F8_E5M2"
    case f8E8M0 = "F8_E8M0"
    case f8E4M3FNUZ = "F8_E4M3FNUZ"
    case f8E5M2FNUZ = "F8_E5M2FNUZ"
    case f6E2M3 = "F6_E2M3"
    case f6E3M2 = "F6_E3M2"
    case f4 = "F4"
    // The same, of GGML.
    case q81 = "Q8_1"
    case q8K = "Q8_K"
    case iq2XXS = "IQ2_XXS"
    case iq2XS = "IQ2_XS"
    case iq3XXS = "IQ3_XXS"
    case iq1S = "IQ1_S"
    case iq3S = "IQ3_S"
    case iq2S = "IQ2_S"
    case iq1M = "IQ1_M"
    case tq10 = "TQ1_0"
    case tq20 = "TQ2_0"
    case mxfp4 = "MXFP4"
    case nvfp4 = "NVFP4"

    /// Whether no more than the size is known.
    public var isOpaque: Bool { dtype == nil && !isGGML }

    /// Whether only GGML has it: numbers in blocks, read or not.
    var isGGMLBlock: Bool { blockElements >= 32 }

    /// Whether it is one of GGML's quantised types, which are widened when they are read.
    var isGGML: Bool {
        switch self {
        case .q40, .q41, .q50, .q51, .q80, .q2K, .q3K, .q4K, .q5K, .q6K, .iq4NL, .iq4XS: true
        default: false
        }
    }

    /// The tensor element type; nil for GGML's quantised types and opaque ones, which no tensor has.
    public var dtype: DType? {
        switch self {
        case .f64: .float64
        case .f32: .float32
        case .f16: .float16
        case .bf16: .bfloat16
        case .i64: .int64
        case .i32: .int32
        case .u8: .uint8
        case .bool: .bool
        case .q8: .q8
        case .q4: .q4
        default: nil
        }
    }

    /// The stored form of an element type.
    public init(_ dtype: DType) {
        switch dtype {
        case .float64: self = .f64
        case .float32: self = .f32
        case .float16: self = .f16
        case .bfloat16: self = .bf16
        case .int64: self = .i64
        case .int32: self = .i32
        case .uint8: self = .u8
        case .bool: self = .bool
        case .q8: self = .q8
        case .q4: self = .q4
        }
    }

    /// Elements per block: 1 for plain types. Those of q8 and q4 are not one after the other: their bytes follow from
    /// the shape alone.
    public var blockElements: Int {
        switch self {
        case .q40, .q41, .q50, .q51, .q80, .iq4NL, .q81, .mxfp4: 32
        case .nvfp4: 64
        case .q2K, .q3K, .q4K, .q5K, .q6K, .iq4XS, .q8K, .iq2XXS, .iq2XS, .iq3XXS, .iq1S, .iq3S, .iq2S, .iq1M, .tq10,
            .tq20:
            256
        case .f4: 2
        case .f6E2M3, .f6E3M2: 4
        default: 1
        }
    }

    /// Bytes per block.
    public var blockBytes: Int {
        switch self {
        case .f64, .i64, .u64, .c64: 8
        case .f32, .i32, .u32: 4
        case .f16, .bf16, .i16, .u16: 2
        case .u8, .bool, .q8, .q4, .i8, .f8E4M3, .f8E5M2, .f8E8M0, .f8E4M3FNUZ, .f8E5M2FNUZ, .f4: 1
        case .f6E2M3, .f6E3M2: 3
        case .iq4NL: 18
        case .iq4XS: 136
        case .q40: 18
        case .q41: 20
        case .q50: 22
        case .q51: 24
        case .q80: 34
        case .q2K: 84
        case .q3K: 110
        case .q4K: 144
        case .q5K: 176
        case .q6K: 210
        case .q81: 40
        case .q8K: 292
        case .iq2XXS: 66
        case .iq2XS: 74
        case .iq3XXS: 98
        case .iq1S: 50
        case .iq3S: 110
        case .iq2S: 82
        case .iq1M: 56
        case .tq10: 54
        case .tq20: 66
        case .mxfp4: 17
        case .nvfp4: 36
        }
    }

    /// Bytes of a tensor of `shape`; nil when the last extent is not made of whole blocks, or when the number of
    /// elements or of bytes (as stored, or as 8-byte elements) overflows. Extents of 0 count as 1 in that check, so
    /// that no product of any of the extents can overflow later.
    func byteCount(shape: [Int]) -> Int? {
        if let dtype, dtype.isQuantised { return dtype.byteCount(of: shape) }
        var bound = 8
        for extent in shape {
            let (product, overflow) = bound.multipliedReportingOverflow(by: max(extent, 1))
            guard extent >= 0, !overflow else { return nil }
            bound = product
        }
        guard blockElements == 1 || (shape.last ?? 1) % blockElements == 0 else { return nil }
        return shape.reduce(1, *) / blockElements * blockBytes
    }
}
