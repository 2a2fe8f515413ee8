import Foundation
import Synchronization

extension Tokenizer {
    /// The most caches that are kept for later encodings.
    private static let maximumCaches = 8

    /// The token ids of a text.
    ///
    /// - Parameter addSpecialTokens: puts the tokens around it with which the model's texts begin and end, if any.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)`` when the tokenizer makes more work or text of it than any
    ///   sound one.
    public func encode(_ text: String, addSpecialTokens: Bool = true) throws -> [Int32] {
        var text = text
        return try text.withUTF8 { try encode($0, addSpecialTokens) }
    }

    /// The token ids of a text given as UTF-8.
    ///
    /// - Throws: ``TokenizerError/invalidUTF8(offset:)`` at the first byte that is not UTF-8, and as
    ///   ``encode(_:addSpecialTokens:)``.
    public func encode(utf8 data: Data, addSpecialTokens: Bool = true) throws -> [Int32] {
        try data.withUnsafeBytes { raw in
            let bytes = raw.bindMemory(to: UInt8.self)
            if let offset = bytes.firstInvalidUTF8 { throw TokenizerError.invalidUTF8(offset: offset) }
            return try encode(bytes, addSpecialTokens)
        }
    }

    /// The token ids of a text that stands behind other text: without special tokens around it, and without the space
    /// that some tokenizers put before a text.
    public func encode(continuing text: String) throws -> [Int32] {
        var text = text
        return try text.withUTF8 { try encode($0, false, continues: true) }
    }

    /// The token ids of a text from its beginning on: with the tokens with which every text begins, without those with which one
    /// ends, for more may follow.
    public func encode(beginning text: String) throws -> [Int32] {
        try textPrefix + encode(text, addSpecialTokens: false)
    }

    /// The tokens with which every text begins.
    public var textPrefix: [Int32] { postProcessor.prefix }

    private func encode(
        _ bytes: UnsafeBufferPointer<UInt8>, _ addSpecialTokens: Bool, continues: Bool = false
    ) throws -> [Int32] {
        let cache = caches.withLock { $0.popLast() } ?? WordCache()
        defer { caches.withLock { if $0.count < Self.maximumCaches { $0.append(cache) } } }
        var pass = EncodingPass(tokenizer: self, cache: cache)
        if addSpecialTokens { pass.ids += postProcessor.prefix }
        try pass.encode(UTF8Text(bytes: bytes), continues: continues)
        if addSpecialTokens { pass.ids += postProcessor.suffix }
        return pass.ids
    }
}
