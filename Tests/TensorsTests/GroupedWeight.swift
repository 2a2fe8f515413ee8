import Tensors

/// A random quantised weight (O, I), written byte by byte as the layout is documented, and the numbers it stands for.
struct GroupedWeight {
    let tensor: Tensor
    /// (O, I), each computed as the kernels do.
    let values: [Float]

    /// - Parameter extreme: every code the largest.
    init(_ dtype: DType, outputs: Int, inputs: Int, random: inout Random, extreme: Bool = false) throws {
        let groups = inputs / 32, tileRows = (outputs + 15) / 16
        let isQ4 = dtype == .q4
        let (codeBytes, front) = isQ4 ? (256, 64) : (512, 0)
        let tileRowBytes = front + (groups + 1) / 2 * 64 + groups * codeBytes
        var bytes = [UInt8](repeating: 0, count: tileRows * tileRowBytes)
        var values = [Float](repeating: 0, count: outputs * inputs)

        func store<Number: FixedWidthInteger>(_ number: Number, at place: Int) {
            for index in 0..<Number.bitWidth / 8 {
                bytes[place + index] = UInt8(truncatingIfNeeded: number >> (8 * index))
            }
        }

        for output in 0..<outputs {
            let tileRow = output / 16 * tileRowBytes, lane = output % 16
            // Weights stay below 1, so that sums of products do, about.
            let rowScale = (random.float() * 0.4 + 0.6) / 3825
            if isQ4 { store(rowScale.bitPattern, at: tileRow + lane * 4) }
            for group in 0..<groups {
                let pair = tileRow + front + group / 2 * (64 + 2 * codeBytes)
                let scales = pair + group % 2 * 32, codes = pair + 64 + group % 2 * codeBytes
                let scale: Float, zero: Float
                if isQ4 {
                    bytes[scales + lane] = UInt8(truncatingIfNeeded: random.next())
                    bytes[scales + 16 + lane] = UInt8(truncatingIfNeeded: random.next())
                    scale = rowScale * Float(bytes[scales + lane])
                    zero = Float(bytes[scales + 16 + lane]) / 16
                } else {
                    let half = Float16(random.float() / 128)
                    store(half.bitPattern, at: scales + lane * 2)
                    (scale, zero) = (Float(half), 128)
                }
                for input in 0..<32 {
                    let largest: UInt8 = isQ4 ? 15 : 255
                    let code = extreme ? largest : UInt8(truncatingIfNeeded: random.next()) & largest
                    let (quad, place) = (input / 4, 4 * lane + input % 4)
                    if isQ4 {
                        bytes[codes + quad % 4 * 64 + place] |= quad < 4 ? code : code << 4
                    } else {
                        bytes[codes + quad * 64 + place] = code
                    }
                    values[output * inputs + group * 32 + input] = scale * (Float(code) - zero)
                }
            }
        }
        tensor = try Tensor([outputs, inputs], dtype) { $0.copyBytes(from: bytes) }
        self.values = values
    }
}
