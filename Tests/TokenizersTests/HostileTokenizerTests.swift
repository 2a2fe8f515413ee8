import Foundation
import Support
import Testing
import Tokenizers

/// Tokenizers that a stranger made to use up time or memory.
@Suite("A tokenizer from a stranger can neither hang nor exhaust memory") struct HostileTokenizerTests {
    /// A small tokenizer with the given parts of tokenizer.json.
    private static func tokenizer(
        normalizer: JSONValue = nil, preTokenizer: JSONValue = nil, decoder: JSONValue? = nil, added: JSONValue = [],
        model: JSONValue? = nil
    ) throws -> Tokenizer {
        let plain: JSONValue = [
            "type": "BPE", "unk_token": "?", "merges": ["a a", "aa aa"],
            "vocab": ["?": 0, "a": 1, "aa": 2, "aaaa": 3, "b": 4],
        ]
        let root: JSONValue = [
            "added_tokens": added, "normalizer": normalizer, "pre_tokenizer": preTokenizer, "post_processor": nil,
            "decoder": decoder ?? ["type": "Fuse"], "model": model ?? plain,
        ]
        return try Tokenizer(json: Data(root.json.utf8))
    }

    private static func sequence(_ key: String, _ steps: [JSONValue]) -> JSONValue {
        .object(JSONObject([("type", "Sequence"), (key, .array(steps))]))
    }

    private static func replace(_ pattern: String, _ content: String) -> JSONValue {
        ["type": "Replace", "pattern": ["String": .string(pattern)], "content": .string(content)]
    }

    private static let long = String(repeating: "a", count: 100_000)

    @Test("expressions that backtrack without an end are an error that names them", .timeLimit(.minutes(1)))
    func expressions() throws {
        for expression in [
            "(a+)+$", "(a|aa)+$", "(a|a|b)*c", "(.*)*c", "(?:a*b|a)", "(a*)*(a*)*b", "((a{1,50}){1,50}){1,50}b",
            "(?=(a+)+$)a", "a*a*a*a*a*c", "(?:a|b)+", #"(a?){500}a{500}"#,
        ] {
            let tokenizer = try Self.tokenizer(preTokenizer: [
                "type": "Split", "pattern": ["Regex": .string(expression)], "behavior": "Isolated",
            ])
            do {
                let ids = try tokenizer.encode(Self.long)
                #expect(ids.isEmpty == false, "\(expression)")
            } catch TokenizerError.limit(let file, let component, _) {
                #expect(file == "tokenizer.json" && component == "pre_tokenizer.pattern.Regex", "\(expression)")
            }
        }
        let exponential = try Self.tokenizer(preTokenizer: [
            "type": "Split", "pattern": ["Regex": "(a+)+$"], "behavior": "Isolated",
        ])
        #expect(
            throws: TokenizerError.limit(
                file: "tokenizer.json", component: "pre_tokenizer.pattern.Regex",
                reason: "the regular expression takes more than 200 steps a byte of this text")
        ) { try exponential.encode(Self.long + "b") }
    }

    @Test("normalizers that make much of little are an error that names them", .timeLimit(.minutes(1)))
    func normalizers() throws {
        let steps = (0..<16).map { _ in Self.replace("a", "aa") }
        for (normalizer, name) in [
            (Self.replace("a", Self.long), "1, Replace"),
            (["type": "Prepend", "prepend": .string(Self.long)], "1, Prepend"),
            (Self.sequence("normalizers", steps), "5, Replace"),
        ] {
            let tokenizer = try Self.tokenizer(normalizer: normalizer)
            #expect(
                throws: TokenizerError.limit(
                    file: "tokenizer.json", component: "normalizer \(name)",
                    reason: "a text grows to more than 16 times its length"), "\(name)"
            ) { try tokenizer.encode(name.hasSuffix("Prepend") ? "a" : Self.long) }
        }
        #expect(throws: TokenizerError.self) {
            try Self.tokenizer(normalizer: Self.sequence("normalizers", steps + [Self.replace("a", "b")]))
        }
    }

    @Test("many pieces between added tokens do not multiply what is put before a text", .timeLimit(.minutes(1)))
    func prefixes() throws {
        let tokenizer = try Self.tokenizer(
            normalizer: ["type": "Prepend", "prepend": .string(String(repeating: "a", count: 60_000))],
            added: [["id": 5, "content": "<|>", "special": true]])
        #expect(throws: TokenizerError.self) { try tokenizer.encode(String(repeating: "a<|>", count: 1000)) }
    }

    @Test("a decoder that makes much of a token is an error", .timeLimit(.minutes(1)))
    func decoders() throws {
        let steps = (0..<16).map { _ in Self.replace("a", "aaaa") }
        #expect(
            throws: TokenizerError.limit(
                file: "tokenizer.json", component: "decoder",
                reason: "the tokens grow to more than 16 times their length")
        ) { try Self.tokenizer(decoder: Self.sequence("decoders", steps)) }
        #expect(throws: TokenizerError.self) {
            try Self.tokenizer(decoder: Self.sequence("decoders", steps + [Self.replace("a", "b")]))
        }
    }

    @Test("added tokens that are long, empty, or all begin like the text", .timeLimit(.minutes(1)))
    func addedTokens() throws {
        let empty = try Self.tokenizer(added: [["id": 5, "content": "", "special": true]])
        #expect(try empty.encode("aab") == [2, 4])
        let long: JSONValue = [["id": 5, "content": .string(Self.long), "special": true]]
        #expect(
            throws: TokenizerError.invalidValue(
                file: "tokenizer.json", path: "added_tokens[0].content", expected: "at most 1024 bytes", found: "100000"
            )
        ) { try Self.tokenizer(added: long) }
        let alike: JSONValue = [
            ["id": 5, "content": .string(String(repeating: "a", count: 1000) + "b"), "special": true]
        ]
        #expect(
            throws: TokenizerError.limit(
                file: "tokenizer.json", component: "added_tokens",
                reason: "looking for them in this text takes more than 64 steps a byte")
        ) { try Self.tokenizer(added: alike).encode(Self.long) }
    }

    @Test("a word of a megabyte is merged in a time that grows like its length", .timeLimit(.minutes(1)))
    func longWord() throws {
        let ids = try Self.tokenizer().encode(String(repeating: "a", count: 1 << 20))
        #expect(ids == Array(repeating: 3, count: 1 << 18))
    }

    @Test("ids that no vocabulary has, and nesting without an end", .timeLimit(.minutes(1)))
    func vocabularies() throws {
        for id in [-1, 1 << 22, 1 << 31, Int.max, Int.min] {
            #expect(throws: TokenizerError.self, "\(id)") {
                try Self.tokenizer(model: ["type": "BPE", "merges": [], "vocab": ["a": .integer(id)]])
            }
            #expect(throws: TokenizerError.self, "\(id)") {
                try Self.tokenizer(added: [["id": .integer(id), "content": "x"]])
            }
        }
        for opening in ["[", "{\"a\":", "{\"model\":["] {
            #expect(throws: TokenizerError.self) {
                try Tokenizer(json: Data(String(repeating: opening, count: 100_000).utf8))
            }
        }
    }
}
