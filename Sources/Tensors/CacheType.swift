import CKernels

/// How keys and values of past tokens are held on the processor.
public enum CacheType: String, Sendable, CaseIterable {
    case float32 = "f32"
    case bfloat16 = "bf16"
    /// 8-bit codes, with a float32 scale for every token and head.
    case codes = "q8"

    /// Bytes of a head's key or value of `dim` elements.
    public func byteCount(dim: Int) -> Int {
        switch self {
        case .float32: 4 * dim
        case .bfloat16: 2 * dim
        case .codes: dim + 4
        }
    }

    var kernelType: moult_cache_type {
        switch self {
        case .float32: moult_cache_float32
        case .bfloat16: moult_cache_bfloat16
        case .codes: moult_cache_codes
        }
    }
}
