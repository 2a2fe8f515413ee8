import Foundation

/// SentencePiece's normalisation (`precompiled_charsmap`): texts of a few characters and what they become.
///
/// The bytes are the size of a trie, the trie as a double array of 32-bit units (as of the library darts-clone), and the
/// results, each with a zero byte behind it.
struct CharacterMap: Sendable {
    private let units: [UInt32]
    private let results: [UInt8]

    /// The step `Precompiled` of a normalizer.
    init(_ node: JSONNode) throws {
        let encoded = try node.required("precompiled_charsmap")
        guard let data = Data(base64Encoded: try encoded.string()), data.count >= 4 else {
            throw encoded.expected("base64 of a character map")
        }
        let bytes = Array(data)
        func unit(_ offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) } }
        let size = Int(unit(0))
        guard size % 4 == 0, size <= bytes.count - 4 else {
            throw encoded.expected("a character map whose trie has at most \(bytes.count - 4) bytes")
        }
        units = (0..<size / 4).map { unit(4 + 4 * $0) }
        results = Array(bytes[(4 + size)...])
    }

    /// The text with every grapheme of at most 5 bytes, or else every character, replaced that has a replacement; nil when
    /// it would have more than `limit` bytes.
    func apply(to text: [UInt8], limit: Int) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        for grapheme in String(decoding: text, as: UTF8.self) {
            if grapheme.utf8.count < 6, let replaced = replacement(Array(grapheme.utf8)) {
                result += replaced
            } else {
                for scalar in grapheme.unicodeScalars {
                    let bytes = Array(String(scalar).utf8)
                    result += replacement(bytes) ?? bytes[...]
                }
            }
            guard result.count <= limit else { return nil }
        }
        return result
    }

    /// What the shortest beginning of `key` that the trie knows becomes.
    private func replacement(_ key: [UInt8]) -> ArraySlice<UInt8>? {
        guard let root = units.first else { return nil }
        var position = Self.offset(root)
        for byte in key {
            guard byte != 0 else { return nil }
            position ^= Int(byte)
            guard units.indices.contains(position) else { return nil }
            let unit = units[position]
            guard unit & (1 << 31 | 0xFF) == UInt32(byte) else { return nil }
            position ^= Self.offset(unit)
            guard unit >> 8 & 1 == 1 else { continue }
            guard units.indices.contains(position) else { return nil }
            let start = Int(units[position] & (1 << 31 - 1))
            guard start <= results.count else { return nil }
            return results[start...].prefix { $0 != 0 }
        }
        return nil
    }

    private static func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 1 << 9) >> 6) }
}
