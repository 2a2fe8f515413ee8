import Foundation
import Generation
import Support
import Tokenizers

/// A byte-level tokenizer of all 256 bytes, of tokens that go over the borders between parts of JSON, and of the end of a text.
/// - Parameter size: filled up to so many tokens with words, such as vocabularies have them.
func structuralTokenizer(size: Int = 0) throws -> Tokenizer {
    let texts =
        [
            "{\"", "\":", "\": ", "\", \"", "\",\"", "},", "}, {", "}]", "]}", "}}", "\"}", "\"]", " \"", ": \"", " {",
            " [", "[{",
            "[\"", "[[", "]]", "],[", "true", "false", "null", "ull,", "tr", "ue", "e}", "12", "007", "0.", ".5", "1e",
            "-1",
            "\\n", "\\\"", "\\u00", "\\ud83d\\ude", "\n  ", "\n", "  ", "name", "\"name", "name\"", "ame\": \"",
            "value", "a", "the ",
            "Ole", "\"kind\": ", "cat\"", "é", "日本", "\u{1F600}", "x\"y", "\"\"", "a\\", "\t",
        ].map { Array($0.utf8) }
        // Pieces of characters of several bytes, with what stands beside them.
        + [[0x22, 0xE6], [0x97, 0xA5, 0x22], [0xF0, 0x9F], [0x98, 0x80, 0x22, 0x7D], [0xC3, 0xA9, 0xC3]]
    var vocabulary: [String: Int] = [:]
    for byte in UInt8.min...UInt8.max { vocabulary[letter(byte)] = vocabulary.count }
    for text in texts {
        let name = text.map(letter).joined()
        if vocabulary[name] == nil { vocabulary[name] = vocabulary.count }
    }
    let syllables = [
        "a", "be", "co", "dri", "el", "fo", "gra", "in", "jo", "ka", "lu", "mo", "ne", "or", "pi", "ra", "sto", "tu",
        "ve",
    ]
    let before = ["", " ", "(", ".", "_", "-"]
    var words = [""]
    while vocabulary.count < size {
        words = words.flatMap { word in syllables.map { word + $0 } }
        // Quotes stand in a few of a hundred.
        let behind = ["", "s", ",", "ing", "é", "ly", "ed", "er"] + (words.count < 400 ? ["\"", "\":"] : [])
        let tokens = words.lazy.flatMap { word in before.lazy.flatMap { first in behind.lazy.map { first + word + $0 } }
        }
        for token in tokens where vocabulary.count < size {
            let name = token.utf8.map(letter).joined()
            if vocabulary[name] == nil { vocabulary[name] = vocabulary.count }
        }
    }
    let end: [String: Any] = [
        "id": vocabulary.count, "content": "<|end|>", "special": true, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false,
    ]
    let json: [String: Any] = [
        "added_tokens": [end], "normalizer": NSNull(), "post_processor": NSNull(), "decoder": ["type": "ByteLevel"],
        "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false, "use_regex": true],
        "model": ["type": "BPE", "vocab": vocabulary, "merges": [String]()],
    ]
    return try Tokenizer(
        json: JSONSerialization.data(withJSONObject: json),
        configuration: JSONSerialization.data(withJSONObject: ["eos_token": "<|end|>"]))
}

/// GPT-2's letter of a byte.
private func letter(_ byte: UInt8) -> String {
    let shown: [ClosedRange<UInt8>] = [0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF]
    if shown.contains(where: { $0.contains(byte) }) { return String(UnicodeScalar(byte)) }
    let place = (UInt8.min..<byte).count { byte in !shown.contains { $0.contains(byte) } }
    return UnicodeScalar(256 + place).map { String($0) } ?? ""
}

func parsed(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8), .python) }

/// What models with random logits write under a constraint.
struct RandomWriter {
    let tokenizer: Tokenizer
    let vocabulary: ConstraintVocabulary
    private let bytes: [[UInt8]]
    private let end: Int32

    init() throws {
        tokenizer = try structuralTokenizer()
        vocabulary = ConstraintVocabulary(tokenizer)
        bytes = (0..<Int32(tokenizer.vocabularySize)).map(tokenizer.bytes)
        end = tokenizer.eosToken ?? -1
    }

    /// A text, or nil where it did not end within `limit` tokens.
    /// - Parameter form: every token is picked from logits of the generator, in which those that close something grow likelier.
    func text(
        _ form: TokenConstraint, _ generator: inout some RandomNumberGenerator, limit: Int = 4000,
        ending: Float = 2
    ) throws
        -> String?
    {
        var state = try form.start()
        var sampler = try Sampler(temperature: 1, seed: generator.next())
        var written: [UInt8] = []
        var logits = [Float](repeating: 0, count: tokenizer.vocabularySize)
        for step in 0..<limit {
            for token in logits.indices { logits[token] = Float.random(in: -2...2, using: &generator) }
            let push = min(12, Float(step) / 8)
            for (token, text) in bytes.enumerated()
            where text.contains(where: { [0x22, 0x7D, 0x5D].contains($0) })
                && !text.contains(where: { [0x7B, 0x5B].contains($0) })
            {
                logits[token] += push * (text.count == 1 ? 1 : 0.7)
            }
            logits[Int(end)] += ending + push
            let mask = try state.mask(stops: [end])
            let token = try logits.withUnsafeBufferPointer { try sampler.sample($0, among: mask) }
            guard mask[token] else { throw Broken.unmasked(token) }
            if token == end { return String(validating: written, as: UTF8.self) }
            guard try state.advance(token) else { throw Broken.refused(token) }
            written += bytes[Int(token)]
            if state.isFinished { return String(validating: written, as: UTF8.self) }
        }
        return nil
    }

    enum Broken: Error { case unmasked(Int32), refused(Int32) }

    /// Whether `text`, cut into tokens at random, may be written and ended.
    func accepts(_ form: TokenConstraint, _ text: String) throws -> Bool {
        var state = try form.start()
        for byte in text.utf8 {
            let mask = try state.mask()
            guard mask[Int32(byte)] else { return false }
            guard try state.advance(Int32(byte)) else { return false }
        }
        return state.isComplete
    }
}
