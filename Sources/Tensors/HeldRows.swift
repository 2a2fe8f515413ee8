import CKernels

/// Keys or values (S, N, K) of past tokens on the processor, held in as many bits as their type says.
public struct HeldRows: Sendable {
    /// How elements are held.
    public let type: CacheType
    /// (S, N, K): float32, bfloat16, or the bytes of codes.
    private var elements: Tensor
    /// (S, N) of codes, float32.
    private var scales: Tensor

    /// Zeros.
    public init(_ type: CacheType, rows: Int, heads: Int, dim: Int) throws {
        self.type = type
        let dtype: DType =
            switch type {
            case .float32: .float32
            case .bfloat16: .bfloat16
            case .codes: .uint8
            }
        elements = try .zeros([rows, heads, dim], dtype)
        scales = try .zeros([type == .codes ? rows : 0, heads])
    }

    /// (S, N, K).
    public var shape: [Int] { elements.shape }
    /// Bytes of elements and scales.
    public var byteCount: Int { elements.byteCount + scales.byteCount }
    var count: Int { elements.count }

    /// The rows in `range` as float32.
    public func rows(_ range: Range<Int>) throws -> Tensor {
        let part = try elements.rows(range)
        guard type == .codes else { return try type == .float32 ? part : part.converted(to: .float32) }
        let scales = try scales.rows(range)
        return try withExtendedLifetime((part, scales)) {
            try .filled(part.shape) {
                moult_widen_codes(
                    part.address?.assumingMemoryBound(to: Int8.self), scales.floats, Int64(scales.count),
                    Int64(shape[2]), $0)
            }
        }
    }

    /// Overwrites rows from `start` with those of `source`, float32 (·, N, K), rounded; in place when nothing else holds them.
    public mutating func replace(at start: Int, with source: Tensor) throws {
        let stride = shape[1] * shape[2]
        switch type {
        case .float32: try Self.copy(source, Float.self, to: &elements, at: start * stride)
        case .bfloat16: try Self.copy(source.converted(to: .bfloat16), BFloat16.self, to: &elements, at: start * stride)
        case .codes:
            let (rows, dim, heads) = (source.shape[0] * shape[1], shape[2], shape[1])
            try elements.withMutable(UInt8.self) { codes in
                try scales.withMutable(Float.self) { scales in
                    let codes = UnsafeMutableBufferPointer(
                        rebasing: codes[start * stride..<start * stride + rows * dim])
                    let scales = UnsafeMutableBufferPointer(rebasing: scales[start * heads..<start * heads + rows])
                    withExtendedLifetime(source) {
                        codes.withMemoryRebound(to: Int8.self) {
                            moult_round_codes(
                                source.floats, Int64(rows), Int64(dim), $0.baseAddress, scales.baseAddress)
                        }
                    }
                }
            }
        }
    }

    private static func copy<Element: TensorElement>(
        _ source: Tensor, _ type: Element.Type, to target: inout Tensor, at start: Int
    ) throws {
        try target.withMutable(type) { target in
            try source.withElements(type) { elements in
                let destination = UnsafeMutableBufferPointer(rebasing: target[start..<start + elements.count])
                _ = destination.update(from: elements)
            }
        }
    }

    /// A copy with `rows` rows whose first `kept` are these.
    public func grown(to rows: Int, keeping kept: Int) throws -> HeldRows {
        var grown = self
        grown.elements = try .empty([rows] + shape.dropFirst(), elements.dtype)
        if type == .codes { grown.scales = try .empty([rows, shape[1]]) }
        switch type {
        case .float32: try Self.copy(elements.rows(0..<kept), Float.self, to: &grown.elements, at: 0)
        case .bfloat16: try Self.copy(elements.rows(0..<kept), BFloat16.self, to: &grown.elements, at: 0)
        case .codes:
            try Self.copy(elements.rows(0..<kept), UInt8.self, to: &grown.elements, at: 0)
            try Self.copy(scales.rows(0..<kept), Float.self, to: &grown.scales, at: 0)
        }
        return grown
    }

    /// Where a captured step finds and writes them, while nothing else holds them.
    mutating func addresses() throws -> (elements: UnsafeMutableRawPointer?, scales: UnsafeMutablePointer<Float>?) {
        let scales = type == .codes ? try scales.withMutable(Float.self) { $0.baseAddress } : nil
        let elements: UnsafeMutableRawPointer? =
            switch type {
            case .float32: try elements.withMutable(Float.self) { UnsafeMutableRawPointer($0.baseAddress) }
            case .bfloat16: try elements.withMutable(BFloat16.self) { UnsafeMutableRawPointer($0.baseAddress) }
            case .codes: try elements.withMutable(UInt8.self) { UnsafeMutableRawPointer($0.baseAddress) }
            }
        return (elements, scales)
    }
}
