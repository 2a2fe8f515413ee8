import Tensors

/// A tensor with elements that are not finite.
public struct NonFiniteTensor: Sendable, Equatable {
    /// The tensor's name.
    public let name: String
    /// Elements that are NaN.
    public let nanCount: Int
    /// Elements that are infinite.
    public let infinityCount: Int

    package init(name: String, nanCount: Int, infinityCount: Int) {
        self.name = name
        self.nanCount = nanCount
        self.infinityCount = infinityCount
    }
}

extension Tensor {
    /// The number of NaN and of infinite elements; none for integers.
    public func nonFiniteCounts() throws -> (nan: Int, infinity: Int) {
        func counts<Bits: FixedWidthInteger & BitwiseCopyable>(_ exponent: Bits, _: Bits.Type) throws -> (Int, Int) {
            try withUnsafeBytes { bytes in
                let elements = bytes.assumingMemoryBound(to: Bits.self)
                let magnitude = exponent | (exponent &- 1)
                // Few tensors have any, so the first pass only asks that.
                var any: Bits = 0
                for element in elements { any |= element & exponent == exponent ? 1 : 0 }
                guard any != 0 else { return (0, 0) }
                var nan = 0, infinity = 0
                for element in elements where element & exponent == exponent {
                    if element & magnitude == exponent { infinity += 1 } else { nan += 1 }
                }
                return (nan, infinity)
            }
        }
        if dtype.isQuantised { return try converted(to: .float32).nonFiniteCounts() }
        return switch dtype {
        case .float64: try counts(0x7FF0_0000_0000_0000, UInt64.self)
        case .float32: try counts(0x7F80_0000, UInt32.self)
        case .bfloat16: try counts(0x7F80, UInt16.self)
        case .float16: try counts(0x7C00, UInt16.self)
        case .int64, .int32, .uint8, .bool, .q8, .q4: (0, 0)
        }
    }
}

extension Checkpoint {
    /// The tensors that hold NaN or infinities. Reads every floating-point tensor, one at a time.
    public func nonFiniteTensors() throws -> [NonFiniteTensor] {
        try tensors.compactMap { description in
            let counts = try load(description.name).nonFiniteCounts()
            guard counts.nan + counts.infinity > 0 else { return nil }
            return NonFiniteTensor(name: description.name, nanCount: counts.nan, infinityCount: counts.infinity)
        }
    }
}
