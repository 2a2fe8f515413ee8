/// The alphabet in which byte-level vocabularies are written: a printable character for every byte.
///
/// Printable bytes of Latin-1 stand for themselves, the others for U+0100 and up in their order (GPT-2).
enum ByteAlphabet {
    /// The character of every byte.
    static let characters: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (0..<256).map { byte in
            if 0x21...0x7E ~= byte || 0xA1...0xAC ~= byte || 0xAE...0xFF ~= byte {
                return Unicode.Scalar(UInt8(byte))
            }
            defer { next += 1 }
            return Unicode.Scalar(next) ?? " "
        }
    }()

    private static let bytes: [Unicode.Scalar: UInt8] = Dictionary(
        uniqueKeysWithValues: characters.enumerated().map { ($1, UInt8($0)) })

    /// The bytes that a token stands for; nil if a character is not of the alphabet.
    static func decode(_ token: String) -> [UInt8]? {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(token.utf8.count)
        for scalar in token.unicodeScalars {
            guard let byte = bytes[scalar] else { return nil }
            decoded.append(byte)
        }
        return decoded
    }

    private static let encoded = characters.map { Array(String(Character($0)).utf8) }

    /// Bytes written in this alphabet, as UTF-8.
    static func encode(_ bytes: some Sequence<UInt8>) -> [UInt8] { bytes.flatMap { encoded[Int($0)] } }

    /// The bytes that text of this alphabet, given as UTF-8, stands for.
    static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        let source = UTF8Text(bytes: text)
        var decoded: [UInt8] = [], position = 0
        while position < text.count {
            let (value, end) = source.scalar(at: position)
            if let byte = Unicode.Scalar(value).flatMap({ bytes[$0] }) { decoded.append(byte) }
            position = end
        }
        return decoded
    }
}
