/// Turns whole blocks of a quantised type into float32, each operation in the order of llama.cpp's `gguf` package, so
/// that results are the same bits. `source` holds `count / blockElements` blocks, `target` takes `count` floats.
func dequantise(_ source: UnsafeRawPointer, _ format: StoredFormat, to target: UnsafeMutablePointer<Float>, count: Int)
{
    func blocks(_ body: (Block, UnsafeMutablePointer<Float>) -> Void) {
        let blockElements = format.blockElements, blockBytes = format.blockBytes
        for index in 0..<count / blockElements {
            body(Block(start: source + index &* blockBytes), target + index &* blockElements)
        }
    }
    switch format {
    case .q40: blocks(dequantiseQ40)
    case .q41: blocks(dequantiseQ41)
    case .q50: blocks(dequantiseQ50)
    case .q51: blocks(dequantiseQ51)
    case .q80: blocks(dequantiseQ80)
    case .q2K: blocks(dequantiseQ2K)
    case .q3K: blocks(dequantiseQ3K)
    case .q4K: blocks(dequantiseQ4K)
    case .q5K: blocks(dequantiseQ5K)
    case .q6K: blocks(dequantiseQ6K)
    case .iq4NL: blocks(dequantiseIQ4NL)
    case .iq4XS: blocks(dequantiseIQ4XS)
    default: break
    }
}

/// The bytes of one quantised block.
struct Block {
    let start: UnsafeRawPointer

    @inline(__always) func byte(_ offset: Int) -> UInt8 { start.load(fromByteOffset: offset, as: UInt8.self) }

    /// The half-precision number at `offset`.
    @inline(__always) func half(_ offset: Int) -> Float {
        Float16Format.decode(start.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    @inline(__always) func bytes16(_ offset: Int) -> SIMD16<UInt8> {
        start.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self)
    }

    @inline(__always) func bits(_ offset: Int) -> UInt32 {
        start.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    }
}

/// target[i] = scale · values[i] + shift for 16 values.
@inline(__always)
private func store(_ values: SIMD16<UInt8>, scale: Float, shift: Float, to target: UnsafeMutablePointer<Float>) {
    for index in 0..<16 { target[index] = scale * Float(Int32(values[index])) + shift }
}

/// target[i] = scale · (values[i] - offset) for 16 values.
@inline(__always)
private func store(_ values: SIMD16<UInt8>, minus offset: Int32, scale: Float, to target: UnsafeMutablePointer<Float>) {
    for index in 0..<16 { target[index] = scale * Float(Int32(values[index]) &- offset) }
}

/// 16 where the bit of `mask` at `first + i` is set.
@inline(__always)
private func fifthBits(_ mask: UInt32, first: UInt32) -> SIMD16<UInt8> {
    var result = SIMD16<UInt8>()
    for index in 0..<16 { result[index] = UInt8(truncatingIfNeeded: mask &>> (first &+ UInt32(index)) & 1) &<< 4 }
    return result
}

// MARK: Blocks of 32: scale (and minimum), fifth bits, then nibbles, the low ones first

private func dequantiseQ40(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    let scale = block.half(0), nibbles = block.bytes16(2)
    store(nibbles & 15, minus: 8, scale: scale, to: target)
    store(nibbles &>> 4, minus: 8, scale: scale, to: target + 16)
}

private func dequantiseQ41(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    let scale = block.half(0), minimum = block.half(2), nibbles = block.bytes16(4)
    store(nibbles & 15, scale: scale, shift: minimum, to: target)
    store(nibbles &>> 4, scale: scale, shift: minimum, to: target + 16)
}

private func dequantiseQ50(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    let scale = block.half(0), mask = block.bits(2), nibbles = block.bytes16(6)
    store(nibbles & 15 | fifthBits(mask, first: 0), minus: 16, scale: scale, to: target)
    store(nibbles &>> 4 | fifthBits(mask, first: 16), minus: 16, scale: scale, to: target + 16)
}

private func dequantiseQ51(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    let scale = block.half(0), minimum = block.half(2), mask = block.bits(4), nibbles = block.bytes16(8)
    store(nibbles & 15 | fifthBits(mask, first: 0), scale: scale, shift: minimum, to: target)
    store(nibbles &>> 4 | fifthBits(mask, first: 16), scale: scale, shift: minimum, to: target + 16)
}

private func dequantiseQ80(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for index in 0..<32 { target[index] = Float(Int32(Int8(bitPattern: block.byte(2 &+ index)))) * scale }
}

// MARK: Super-blocks of 256, whose parts of 16 or 32 have scales of their own

private func dequantiseQ2K(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    let scale = block.half(80), minimum = block.half(82)
    for part in 0..<16 {
        // Parts 8h + 2s and 8h + 2s + 1 are bits 2s, 2s + 1 of the 32 bytes of half h.
        let crumbs = block.bytes16(16 &+ part / 8 &* 32 &+ part % 2 &* 16) &>> UInt8(part % 8 / 2 &* 2) & 3
        let factors = block.byte(part)
        store(
            crumbs, scale: scale * Float(factors & 15), shift: -(minimum * Float(factors &>> 4)),
            to: target + part &* 16)
    }
}

private func dequantiseQ3K(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    let scale = block.half(108)
    for part in 0..<16 {
        let half = part % 2 &* 16
        let crumbs = block.bytes16(32 &+ part / 8 &* 32 &+ half) &>> UInt8(part % 8 / 2 &* 2) & 3
        // A set bit of the mask means that 4 is not taken off.
        let third = (block.bytes16(half) &>> UInt8(part / 2) & 1) &<< 2
        let low = block.byte(96 &+ part % 8) &>> UInt8(part / 8 &* 4) & 15
        let high = block.byte(104 &+ part % 4) &>> UInt8(part / 4 &* 2) & 3
        let factor = Int32(high &<< 4 | low) &- 32
        store(crumbs | third, minus: 4, scale: scale * Float(factor), to: target + part &* 16)
    }
}

/// The 6-bit scale and minimum of part `part` of 8, packed in 12 bytes at `offset` of a Q4_K or Q5_K block.
@inline(__always)
private func scaleAndMinimum(_ block: Block, _ offset: Int, _ part: Int) -> (scale: Float, minimum: Float) {
    if part < 4 { return (Float(block.byte(offset &+ part) & 63), Float(block.byte(offset &+ 4 &+ part) & 63)) }
    let low = block.byte(offset &+ 4 &+ part)
    return (
        Float(low & 15 | block.byte(offset &+ part &- 4) &>> 2 & 0x30),
        Float(low &>> 4 | block.byte(offset &+ part) &>> 2 & 0x30)
    )
}

private func dequantiseQ4K(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    let scale = block.half(0), minimum = block.half(2)
    for part in 0..<8 {
        let factors = scaleAndMinimum(block, 4, part)
        for half in 0..<2 {
            let nibbles = block.bytes16(16 &+ part / 2 &* 32 &+ half &* 16) &>> UInt8(part % 2 &* 4) & 15
            store(
                nibbles, scale: scale * factors.scale, shift: -(minimum * factors.minimum),
                to: target + part &* 32 + half &* 16)
        }
    }
}

private func dequantiseQ5K(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    let scale = block.half(0), minimum = block.half(2)
    for part in 0..<8 {
        let factors = scaleAndMinimum(block, 4, part)
        for half in 0..<2 {
            let nibbles = block.bytes16(48 &+ part / 2 &* 32 &+ half &* 16) &>> UInt8(part % 2 &* 4) & 15
            let fifth = (block.bytes16(16 &+ half &* 16) &>> UInt8(part) & 1) &<< 4
            store(
                nibbles | fifth, scale: scale * factors.scale, shift: -(minimum * factors.minimum),
                to: target + part &* 32 + half &* 16)
        }
    }
}

private func dequantiseQ6K(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    let scale = block.half(208)
    for part in 0..<16 {
        // Halves of 128: 64 bytes of nibbles, low ones first, and 32 bytes of pairs of high bits.
        let half = part / 8, group = part % 8 / 2, side = part % 2 &* 16
        let low = block.bytes16(half &* 64 &+ group % 2 &* 32 &+ side) &>> UInt8(group / 2 &* 4) & 15
        let high = (block.bytes16(128 &+ half &* 32 &+ side) &>> UInt8(group &* 2) & 3) &<< 4
        let factor = Int8(bitPattern: block.byte(192 &+ part))
        store(low | high, minus: 32, scale: scale * Float(factor), to: target + part &* 16)
    }
}

// MARK: Nibbles that stand for the numbers of a table

private let table: [Float] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]

private func dequantiseIQ4(
    _ block: Block, at offset: Int, scale: Float, _ target: UnsafeMutablePointer<Float>, _ table: UnsafePointer<Float>
) {
    for index in 0..<16 {
        let pair = block.byte(offset &+ index)
        target[index] = scale * table[Int(pair & 15)]
        target[16 &+ index] = scale * table[Int(pair &>> 4)]
    }
}

private func dequantiseIQ4NL(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    table.withUnsafeBufferPointer {
        guard let table = $0.baseAddress else { return }
        dequantiseIQ4(block, at: 2, scale: block.half(0), target, table)
    }
}

private func dequantiseIQ4XS(_ block: Block, _ target: UnsafeMutablePointer<Float>) {
    table.withUnsafeBufferPointer {
        guard let table = $0.baseAddress else { return }
        let scale = block.half(0)
        for part in 0..<8 {
            // Six bits a part: four of a nibble, two of a word.
            let low = block.byte(4 &+ part / 2) &>> UInt8(part % 2 &* 4) & 15
            let high = block.byte(2 &+ part / 4) &>> UInt8(part % 4 &* 2) & 3
            let factor = Float(Int32(high &<< 4 | low) &- 32)
            dequantiseIQ4(block, at: 8 &+ part &* 16, scale: scale * factor, target + part &* 32, table)
        }
    }
}
