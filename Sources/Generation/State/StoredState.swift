import Foundation
import Models
import Support

/// A state after all of some tokens, with which a prompt that begins with them goes on: as it is kept on the disk, and
/// handed out.
package struct StoredState: Sendable {
    /// All tokens that were read.
    package let tokens: [Int32]
    let snapshot: StateSnapshot
    /// Of the token that follows.
    let logits: [Float]
    /// Whether going on is bit for bit as reading the whole: the state was read in whole segments from the beginning.
    package let isExact: Bool
    /// What else is kept with it, beside what this type needs.
    package var notes = JSONObject()

    init(tokens: [Int32], snapshot: StateSnapshot, logits: [Float], isExact: Bool) {
        (self.tokens, self.snapshot, self.logits, self.isExact) = (tokens, snapshot, logits, isExact)
    }

    /// The state file; its notes are a JSON object with `tokens`, little-endian in Base64, `exact`, and ``notes``.
    package func encoded(for fingerprint: UInt64) throws -> [UInt8] {
        var object = notes
        object["tokens"] = .string(Self.text(tokens))
        object["exact"] = .bool(isExact)
        let data = Data(JSONValue.object(object).text().utf8)
        return try StateContents(snapshot: snapshot, logits: logits, tokens: tokens, notes: data)
            .encoded(for: fingerprint)
    }

    /// - Parameter path: where the bytes are from, for errors.
    /// - Throws: ``GenerationError``, also for a state file without the tokens.
    package init(_ bytes: some ContiguousBytes, path: String, model: DecoderModel) throws {
        let contents = try bytes.withUnsafeBytes { try StateContents($0, path: path, model: model) }
        var notes = (try? JSONValue(parsing: contents.notes, .strict))?.objectValue ?? JSONObject()
        var digest = TokenDigest()
        guard let tokens = notes["tokens"]?.stringValue.flatMap({ Self.tokens($0) }),
            let isExact = notes["exact"]?.boolValue
        else {
            throw GenerationError.notAState(
                path: path, found: "a state without its tokens, of 'moult generate' or 'chat'")
        }
        digest.append(tokens)
        guard tokens.count == contents.snapshot.position, digest == contents.digest,
            contents.recent.elementsEqual(tokens.suffix(contents.recent.count))
        else { throw GenerationError.damagedState(path: path, reason: "its tokens are not those that it has read") }
        (notes["tokens"], notes["exact"]) = (nil, nil)
        (self.tokens, snapshot, self.isExact, self.notes) = (tokens, contents.snapshot, isExact, notes)
        logits = try contents.logits.withElements(Float.self) { Array($0) }
    }

    /// Token ids as text: little-endian, 4 bytes each, in Base64.
    package static func text(_ tokens: [Int32]) -> String {
        tokens.map(\.littleEndian).withUnsafeBytes { Data($0) }.base64EncodedString()
    }

    /// The ids of ``text(_:)``; nil for other text.
    package static func tokens(_ text: String) -> [Int32]? {
        guard let data = Data(base64Encoded: text), data.count.isMultiple(of: 4) else { return nil }
        return data.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map {
                Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self))
            }
        }
    }
}
