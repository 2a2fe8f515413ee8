import Tensors
import Testing

extension KernelTests {
    @Suite struct ConversionTests {
        @Test func everyHalfWidensExactly() throws {
            let patterns = (0...UInt16.max).map { $0 }
            try withEveryKernel { choice in
                for type in [DType.bfloat16, .float16] {
                    let wide = try patterns.withUnsafeBytes { bytes in
                        try Tensor(borrowing: bytes, shape: [patterns.count], dtype: type, owner: type)
                            .converted(to: .float32).array(Float.self)
                    }
                    let wrong = patterns.first { pattern in
                        let expected = type == .bfloat16 ? BFloat16(bits: pattern).float : float16(pattern)
                        let found = wide[Int(pattern)]
                        return expected.isNaN ? !found.isNaN : expected.bitPattern != found.bitPattern
                    }
                    #expect(wrong == nil, "\(type) \(choice)")
                }
            }
        }

        @Test func narrowingRoundsToNearestEven() throws {
            var random = Random(10)
            var values: [Float] = [
                0, -0.0, .infinity, -.infinity, 65504, 65519.9, 65520, 1e-8, 0x1p-24, 0x1p-25, 0x1.8p-24, 3e38,
            ]
            values += (0..<5000).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: random.next())) }.filter {
                !$0.isNaN
            }
            values += random.floats(5000, scale: 1e-4) + random.floats(5001, scale: 100)
            let x = try Tensor(values, shape: [values.count])
            try withEveryKernel { choice in
                let rounded = try x.converted(to: .bfloat16).array(BFloat16.self)
                #expect(zip(values, rounded).first { BFloat16($0) != $1 } == nil, "\(choice)")
                // Halves are the nearest: no neighbour is closer, and ties have an even pattern.
                let halves = try x.converted(to: .float16)
                let bits = try halves.withUnsafeBytes { bytes in
                    stride(from: 0, to: bytes.count, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
                }
                let wrong = zip(values, bits).first { value, pattern in pattern != nearestHalf(value) }
                #expect(wrong == nil, "\(choice)")
            }
        }

        @Test func nanStaysNaN() throws {
            let x = try Tensor([Float.nan, 1, -.nan], shape: [3])
            try withEveryKernel { _ in
                for type in [DType.bfloat16, .float16, .float64] {
                    let back = try x.converted(to: type).converted(to: .float32).array(Float.self)
                    #expect(back[0].isNaN && back[1] == 1 && back[2].isNaN)
                }
            }
        }

        @Test func integersAreRefused() throws {
            let ids = try Tensor([Int32(1)], shape: [1])
            #expect(throws: TensorError.self) { try ids.converted(to: .float32) }
            #expect(throws: TensorError.self) { try Tensor([Float(1)], shape: [1]).converted(to: .int64) }
        }

        private func float16(_ bits: UInt16) -> Float {
            let sign: Float = bits & 0x8000 == 0 ? 1 : -1
            let exponent = Int(bits >> 10 & 31), fraction = Float(bits & 1023)
            if exponent == 31 { return fraction == 0 ? sign * .infinity : .nan }
            if exponent == 0 { return sign * fraction * 0x1p-24 }
            return sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024)
        }

        /// By arithmetic: the value in units of its last place, rounded by Swift.
        private func nearestHalf(_ value: Float) -> UInt16 {
            let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
            let magnitude = Double(value.magnitude)
            if magnitude >= 65520 { return sign | 0x7C00 }
            let exponent = magnitude < 0x1p-14 ? -14 : Int(magnitude.exponent)
            let units = (magnitude * Double(sign: .plus, exponent: 10 - exponent, significand: 1)).rounded(
                .toNearestOrEven)
            // Units of 1024 and more carry the implicit bit, which adds one to the exponent field.
            return sign | UInt16(exponent + 14) << 10 &+ UInt16(units)
        }
    }
}
