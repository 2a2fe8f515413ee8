import Foundation
import Testing
import Tokenizers

@Suite struct GGUFVocabularyTests {
    private static func vocabulary(_ preTokenizer: String) -> GGUFVocabulary {
        GGUFVocabulary(
            model: "gpt2", preTokenizer: preTokenizer, tokens: ["<s>", "</s>", "a", "b", "1", "Ġ", "ab", "Ġab"],
            tokenTypes: [3, 3, 1, 1, 1, 1, 1, 1], merges: ["a b", "Ġ ab"], bosToken: 0, eosToken: 1, addsBOS: true,
            chatTemplate: "{{ messages }}")
    }

    @Test(arguments: ["smollm", "gpt-2", "llama-bpe", "qwen2"])
    func encodes(preTokenizer: String) throws {
        let tokenizer = try Tokenizer(Self.vocabulary(preTokenizer))
        #expect(try tokenizer.encode("ab ab11</s>") == [0, 6, 7, 4, 4, 1])
        #expect(try tokenizer.encode("ab", addSpecialTokens: false) == [6])
        #expect(try tokenizer.decode([0, 6, 7, 1]) == "ab ab")
        #expect(tokenizer.bosToken == 0 && tokenizer.eosToken == 1)
        #expect(tokenizer.chatTemplate == "{{ messages }}")
        #expect(tokenizer.vocabularySize == 8)
    }

    @Test func filesDescribeTheSameTokenizer() throws {
        let tokenizer = try Tokenizer(Self.vocabulary("smollm"))
        let reloaded = try Tokenizer(files: tokenizer.huggingFaceFiles)
        #expect(try reloaded.encode("ab ab11</s>") == tokenizer.encode("ab ab11</s>"))
        #expect(tokenizer.huggingFaceFiles.named.map(\.name) == ["tokenizer.json", "tokenizer_config.json"])
    }

    @Test func refusesOtherKinds() {
        var other = Self.vocabulary("smollm")
        other.model = "bert"
        #expect(throws: TokenizerError.self) { try Tokenizer(other) }
        #expect(throws: TokenizerError.self) { try Tokenizer(Self.vocabulary("mystery")) }
        var wrong = Self.vocabulary("smollm")
        wrong.eosToken = 8
        #expect(throws: TokenizerError.self) { try Tokenizer(wrong) }
    }

    @Test func beginsTextsAsTheKindDoes() throws {
        func ids(_ preTokenizer: String, _ addsBOS: Bool?) throws -> [Int32] {
            var vocabulary = Self.vocabulary(preTokenizer)
            vocabulary.addsBOS = addsBOS
            return try Tokenizer(vocabulary).encode("ab")
        }
        for name in ["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "tekken"] {
            #expect(try ids(name, nil) == [0, 6], "\(name)")
            #expect(try ids(name, false) == [6], "\(name)")
        }
        for name in ["default", "gpt-2", "qwen2", "smollm", "deepseek-v3", "gpt-4o"] {
            #expect(try ids(name, nil) == [6], "\(name)")
            #expect(try ids(name, true) == [0, 6], "\(name)")
        }
    }

    @Test(arguments: [
        "default", "llama4", "minicpm5", "deepseek-llm", "deepseek-coder", "deepseek-v3", "spark2_5", "youtu", "falcon",
        "starcoder", "jais-2", "qwen35", "dbrx", "poro-chat", "viking", "tekken", "exaone-moe", "chameleon", "gpt-4o",
        "tiny_aya", "superbpe", "bailingmoe", "seed-coder", "kimi-k2", "ufakzeka", "afmoe", "laguna", "stablelm2",
        "granite-embed-multi-97m",
    ])
    func knowsThePreTokenizers(name: String) throws {
        #expect(try Tokenizer(Self.vocabulary(name)).encode("ab ab", addSpecialTokens: false) == [6, 7])
    }

    /// The tokenizers of these names bring text into form C first.
    @Test(
        arguments: [
            ("qwen2", [10, 11]), ("olmo", [10, 11]), ("mpt", [10, 11]), ("command-r", [10, 11]), ("gpt-2", [8, 9, 12]),
            ("starcoder", [8, 9, 12]), ("llama-bpe", [8, 9, 12]),
        ] as [(String, [Int32])])
    func composes(name: String, ids: [Int32]) throws {
        var vocabulary = Self.vocabulary(name)
        vocabulary.tokens += ["e", "Ì", "Ã", "©", "ģ"]
        vocabulary.tokenTypes += [1, 1, 1, 1, 1]
        #expect(try Tokenizer(vocabulary).encode("e\u{301}", addSpecialTokens: false) == ids)
    }

    /// With these names, a word that is a token is taken whole where no merges lead to it.
    @Test(
        arguments: [
            ("llama-bpe", [8]), ("falcon3", [8]), ("tekken", [8]), ("glm4", [8]), ("glm5", [8]), ("dbrx", [3, 2]),
            ("gpt-4o", [3, 2]), ("qwen2", [3, 2]),
        ] as [(String, [Int32])])
    func takesWholeWords(name: String, ids: [Int32]) throws {
        var vocabulary = Self.vocabulary(name)
        vocabulary.tokens.append("ba")
        vocabulary.tokenTypes.append(1)
        #expect(try Tokenizer(vocabulary).encode("ba", addSpecialTokens: false) == ids)
    }

    /// A vocabulary of SentencePiece: text is joined by falling score.
    private static let pieces = GGUFVocabulary(
        model: "llama",
        tokens: ["<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", "▁", "a", "b", "▁a", "ab", "▁ab", "<x>", "<old>"],
        tokenTypes: [2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 4, 5],
        scores: [0, 0, 0, 0, 0, -7, -8, -9, -2, -1, -3, 0, 0])

    @Test func sentencePiece() throws {
        let tokenizer = try Tokenizer(Self.pieces)
        #expect(try tokenizer.encode("ab a") == [1, 10, 8])
        #expect(try tokenizer.encode("é<x>ab</s>", addSpecialTokens: false) == [5, 3, 4, 11, 10, 2])
        #expect(try tokenizer.encode("c", addSpecialTokens: false) == [5, 0])
        #expect(try tokenizer.decode([1, 10, 8, 3, 4, 12, 11]) == "ab aé<x>")
        #expect(tokenizer.bosToken == 1 && tokenizer.eosToken == 2 && tokenizer.unknownToken == 0)
        let reloaded = try Tokenizer(files: tokenizer.huggingFaceFiles)
        #expect(try reloaded.encode("ab aé<x>") == tokenizer.encode("ab aé<x>"))
    }

    /// Phi-3's tokens take the white space behind them with them, but for the one that begins texts.
    @Test func takesSpaceBehindTokens() throws {
        var vocabulary = Self.pieces
        #expect(try Tokenizer(vocabulary).encode("<x> ab</s> a<s> a") == [1, 11, 5, 10, 2, 5, 8, 1, 5, 8])
        vocabulary.architecture = "phi3"
        let tokenizer = try Tokenizer(vocabulary)
        #expect(try tokenizer.encode("<x> ab</s>  a<s> a") == [1, 11, 10, 2, 8, 1, 5, 8])
        let reloaded = try Tokenizer(files: tokenizer.huggingFaceFiles)
        #expect(try reloaded.encode("<x> ab") == [1, 11, 10])
    }

    @Test func sentencePieceAsTheFileSays() throws {
        var vocabulary = Self.pieces
        vocabulary.addsSpacePrefix = false
        vocabulary.addsBOS = false
        vocabulary.addsEOS = true
        let tokenizer = try Tokenizer(vocabulary)
        #expect(try tokenizer.encode("ab a") == [9, 8, 2])
        #expect(try tokenizer.decode([9, 8, 2]) == "ab a")
    }

    @Test func mergesOfCharacters() throws {
        let vocabulary = GGUFVocabulary(
            model: "gemma4", tokens: ["<unk>", "<bos>", "▁", "a", "b", "ab", "▁ab"], tokenTypes: [2, 3, 1, 1, 1, 1, 1],
            merges: ["a b", "▁ ab"], bosToken: 1)
        #expect(try Tokenizer(vocabulary).encode("ab ab") == [1, 5, 6])
    }

    @Test func unusedTokensAreNothing() throws {
        var vocabulary = Self.vocabulary("gpt-2")
        vocabulary.tokens += ["[PAD8]", "abab"]
        vocabulary.tokenTypes += [5, 5]
        vocabulary.merges.append("ab ab")
        let tokenizer = try Tokenizer(vocabulary)
        #expect(try tokenizer.encode("abab", addSpecialTokens: false) == [6, 6])
        #expect(try tokenizer.decode([6, 8, 9, 6]) == "abab")
    }

    /// Strings of Swift are equal when they look the same; tokens are when their bytes are.
    @Test func tokensThatLookTheSame() throws {
        var vocabulary = Self.pieces
        vocabulary.tokens += ["\u{E9}", "e", "\u{301}", "e\u{301}"]
        vocabulary.tokenTypes += [1, 1, 1, 1]
        vocabulary.scores += [-20, -21, -22, -10]
        let tokenizer = try Tokenizer(vocabulary)
        #expect(try tokenizer.encode("\u{E9}e\u{301}", addSpecialTokens: false) == [5, 13, 16])
    }
}
