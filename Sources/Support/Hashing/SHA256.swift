import Foundation

/// SHA-256 (FIPS 180-4) of bytes that come in pieces.
package struct SHA256: Sendable {
    private var state: [UInt32] = [
        0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
    ]
    /// Bytes that do not fill a block yet.
    private var rest: [UInt8] = []
    private var count: UInt64 = 0

    /// Bytes of a digest.
    package static let byteCount = 32
    /// Bytes that are mixed in at once.
    static let blockBytes = 64

    package init() {}

    /// The digest of `bytes`.
    package static func digest(_ bytes: some ContiguousBytes) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finish()
    }

    package mutating func update(_ bytes: some ContiguousBytes) { bytes.withUnsafeBytes { update(raw: $0) } }

    private mutating func update(raw bytes: UnsafeRawBufferPointer) {
        count += UInt64(bytes.count)
        var bytes = bytes
        if !rest.isEmpty {
            let needed = min(Self.blockBytes - rest.count, bytes.count)
            rest += bytes.prefix(needed)
            bytes = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(needed))
            guard rest.count == Self.blockBytes else { return }
            let block = rest
            rest = []
            block.withUnsafeBytes { mix($0) }
        }
        let whole = bytes.count / Self.blockBytes * Self.blockBytes
        mix(UnsafeRawBufferPointer(rebasing: bytes[..<whole]))
        rest += bytes[whole...]
    }

    /// The digest of all that came.
    package consuming func finish() -> [UInt8] {
        let bits = count &* 8
        var padding: [UInt8] = [0x80]
        padding += [UInt8](repeating: 0, count: (119 - Int(count % 64)) % 64)
        padding += withUnsafeBytes(of: bits.bigEndian) { Array($0) }
        update(padding)
        return state.flatMap { word in withUnsafeBytes(of: word.bigEndian) { Array($0) } }
    }

    /// Mixes in whole blocks.
    private mutating func mix(_ blocks: UnsafeRawBufferPointer) {
        func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 { value >> count | value << (32 - count) }
        state.withUnsafeMutableBufferPointer { state in
            Self.constants.withUnsafeBufferPointer { constants in
                withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { w in
                    for start in stride(from: 0, to: blocks.count, by: Self.blockBytes) {
                        for t in 0..<16 {
                            w[t] = UInt32(
                                bigEndian: blocks.loadUnaligned(fromByteOffset: start + 4 * t, as: UInt32.self))
                        }
                        for t in 16..<64 {
                            let (early, late) = (w[t - 15], w[t - 2])
                            let first = rotate(early, 7) ^ rotate(early, 18) ^ early >> 3
                            let second = rotate(late, 17) ^ rotate(late, 19) ^ late >> 10
                            w[t] = w[t - 16] &+ first &+ w[t - 7] &+ second
                        }
                        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
                        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
                        for t in 0..<64 {
                            let choice = e & f ^ ~e & g
                            let sum = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
                            let first = h &+ sum &+ choice &+ constants[t] &+ w[t]
                            let majority = a & b ^ a & c ^ b & c
                            let second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) &+ majority
                            (h, g, f, e) = (g, f, e, d &+ first)
                            (d, c, b, a) = (c, b, a, first &+ second)
                        }
                        for (place, word) in [a, b, c, d, e, f, g, h].enumerated() { state[place] &+= word }
                    }
                }
            }
        }
    }

    private static let constants: [UInt32] = [
        0x428A_2F98, 0x7137_4491, 0xB5C0_FBCF, 0xE9B5_DBA5, 0x3956_C25B, 0x59F1_11F1, 0x923F_82A4, 0xAB1C_5ED5,
        0xD807_AA98, 0x1283_5B01, 0x2431_85BE, 0x550C_7DC3, 0x72BE_5D74, 0x80DE_B1FE, 0x9BDC_06A7, 0xC19B_F174,
        0xE49B_69C1, 0xEFBE_4786, 0x0FC1_9DC6, 0x240C_A1CC, 0x2DE9_2C6F, 0x4A74_84AA, 0x5CB0_A9DC, 0x76F9_88DA,
        0x983E_5152, 0xA831_C66D, 0xB003_27C8, 0xBF59_7FC7, 0xC6E0_0BF3, 0xD5A7_9147, 0x06CA_6351, 0x1429_2967,
        0x27B7_0A85, 0x2E1B_2138, 0x4D2C_6DFC, 0x5338_0D13, 0x650A_7354, 0x766A_0ABB, 0x81C2_C92E, 0x9272_2C85,
        0xA2BF_E8A1, 0xA81A_664B, 0xC24B_8B70, 0xC76C_51A3, 0xD192_E819, 0xD699_0624, 0xF40E_3585, 0x106A_A070,
        0x19A4_C116, 0x1E37_6C08, 0x2748_774C, 0x34B0_BCB5, 0x391C_0CB3, 0x4ED8_AA4A, 0x5B9C_CA4F, 0x682E_6FF3,
        0x748F_82EE, 0x78A5_636F, 0x84C8_7814, 0x8CC7_0208, 0x90BE_FFFA, 0xA450_6CEB, 0xBEF9_A3F7, 0xC671_78F2,
    ]
}
