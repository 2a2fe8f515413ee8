import Foundation
import Synchronization

extension Tokenizer {
    /// The most caches that are kept for later encodings.
    private static let maximumCaches = 8

    /// The token ids of a text.
    ///
    /// - Parameter addSpecialTokens: puts the tokens around it with which the model's texts begin and end, if any.
    public func encode(_ text: String, addSpecialTokens: Bool = true) -> [Int32] {
        var text = text
        return text.withUTF8 { encode($0, addSpecialTokens) }
    }

    /// The token ids of a text given as UTF-8.
    ///
    /// - Throws: ``TokenizerError/invalidUTF8(offset:)`` at the first byte that is not UTF-8.
    public func encode(utf8 data: Data, addSpecialTokens: Bool = true) throws -> [Int32] {
        try data.withUnsafeBytes { raw in
            let bytes = raw.bindMemory(to: UInt8.self)
            if let offset = bytes.firstInvalidUTF8 { throw TokenizerError.invalidUTF8(offset: offset) }
            return encode(bytes, addSpecialTokens)
        }
    }

    private func encode(_ bytes: UnsafeBufferPointer<UInt8>, _ addSpecialTokens: Bool) -> [Int32] {
        let cache = caches.withLock { $0.popLast() } ?? WordCache()
        var pass = EncodingPass(tokenizer: self, cache: cache)
        if addSpecialTokens { pass.ids += postProcessor.prefix }
        pass.encode(UTF8Text(bytes: bytes))
        if addSpecialTokens { pass.ids += postProcessor.suffix }
        caches.withLock { if $0.count < Self.maximumCaches { $0.append(cache) } }
        return pass.ids
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// The offset of the first byte that is not part of a well-formed character; nil if all are.
    fileprivate var firstInvalidUTF8: Int? {
        var position = 0
        while position < count {
            let first = self[position]
            if first < 0x80 {
                position += 1
                continue
            }
            let (length, second): (Int, ClosedRange<UInt8>)
            switch first {
            case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
            case 0xE0: (length, second) = (3, 0xA0...0xBF)
            case 0xED: (length, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
            case 0xF0: (length, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
            case 0xF4: (length, second) = (4, 0x80...0x8F)
            default: return position
            }
            guard position + length <= count, second ~= self[position + 1],
                self[(position + 2)..<(position + length)].allSatisfy({ $0 & 0xC0 == 0x80 })
            else { return position }
            position += length
        }
        return nil
    }
}
