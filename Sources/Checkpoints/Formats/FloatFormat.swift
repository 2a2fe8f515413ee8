import Tensors

/// A floating-point element as it is stored, and its conversion through float32. Going from float64 to a 16-bit type
/// rounds twice, as PyTorch does.
protocol FloatFormat {
    associatedtype Bits: FixedWidthInteger & BitwiseCopyable
    static func decode(_ bits: Bits) -> Float
    /// Rounds to nearest, ties to even; NaN stays NaN.
    static func encode(_ value: Float) -> Bits
}

enum Float64Format: FloatFormat {
    @inline(__always) static func decode(_ bits: UInt64) -> Float { Float(Double(bitPattern: bits)) }
    @inline(__always) static func encode(_ value: Float) -> UInt64 { Double(value).bitPattern }
}

enum Float32Format: FloatFormat {
    @inline(__always) static func decode(_ bits: UInt32) -> Float { Float(bitPattern: bits) }
    @inline(__always) static func encode(_ value: Float) -> UInt32 { value.bitPattern }
}

enum BFloat16Format: FloatFormat {
    @inline(__always) static func decode(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) &<< 16) }
    @inline(__always) static func encode(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        let rounded = (bits &+ 0x7FFF &+ (bits &>> 16 & 1)) &>> 16
        let isNaN = bits & 0x7FFF_FFFF > 0x7F80_0000
        return UInt16(truncatingIfNeeded: isNaN ? bits &>> 16 | 0x40 : rounded)
    }
}

/// Conversions in integer arithmetic, so that they vectorise on processors without half-precision instructions.
enum Float16Format: FloatFormat {
    @inline(__always) static func decode(_ bits: UInt16) -> Float {
        let magnitude = UInt32(bits & 0x7FFF) &<< 13
        // Exact for normal and subnormal numbers; infinities and NaN need the full exponent.
        let finite = (Float(bitPattern: magnitude) * 0x1p112).bitPattern
        let result = magnitude >= 0x7C00 << 13 ? magnitude | 0x7F80_0000 : finite
        return Float(bitPattern: UInt32(bits & 0x8000) &<< 16 | result)
    }

    @inline(__always) static func encode(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        let magnitude = bits & 0x7FFF_FFFF
        let normal = (magnitude &+ 0xC800_0FFF &+ (magnitude &>> 13 & 1)) &>> 13
        // Below 2^-14: adding 0.5 leaves the rounded subnormal in the low bits.
        let subnormal = (Float(bitPattern: magnitude) + 0.5).bitPattern &- 0x3F00_0000
        var result = magnitude < 0x3880_0000 ? subnormal : normal
        result = magnitude >= 0x4780_0000 ? 0x7C00 : result
        result = magnitude > 0x7F80_0000 ? 0x7E00 : result
        return UInt16(truncatingIfNeeded: bits &>> 16 & 0x8000 | result)
    }
}

/// Converts `count` elements of one floating-point type to another; the source needs no alignment.
func convert(
    _ source: UnsafeRawPointer, _ sourceType: DType, to target: UnsafeMutableRawPointer, _ targetType: DType, count: Int
) {
    func from<Source: FloatFormat>(_: Source.Type) {
        switch targetType {
        case .float64: convert(source, Source.self, to: target, Float64Format.self, count: count)
        case .float32: convert(source, Source.self, to: target, Float32Format.self, count: count)
        case .float16: convert(source, Source.self, to: target, Float16Format.self, count: count)
        case .bfloat16: convert(source, Source.self, to: target, BFloat16Format.self, count: count)
        case .int64, .int32, .uint8, .bool, .q8, .q4: break
        }
    }
    switch sourceType {
    case .float64: from(Float64Format.self)
    case .float32: from(Float32Format.self)
    case .float16: from(Float16Format.self)
    case .bfloat16: from(BFloat16Format.self)
    case .int64, .int32, .uint8, .bool, .q8, .q4: break
    }
}

private func convert<Source: FloatFormat, Target: FloatFormat>(
    _ source: UnsafeRawPointer, _: Source.Type, to target: UnsafeMutableRawPointer, _: Target.Type, count: Int
) {
    let output = target.assumingMemoryBound(to: Target.Bits.self)
    for index in 0..<count {
        let bits = source.loadUnaligned(fromByteOffset: index &* MemoryLayout<Source.Bits>.size, as: Source.Bits.self)
        output[index] = Target.encode(Source.decode(bits))
    }
}
