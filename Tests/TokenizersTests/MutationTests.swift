import Foundation
import Testing
import Tokenizers

/// Files changed at random load or are refused; nothing traps.
@Suite struct MutationTests {
    private static func mutate(_ data: Data, _ random: inout LinearCongruentialGenerator) -> Data {
        var bytes = Array(data)
        for _ in 0...random.below(4) where !bytes.isEmpty {
            let position = random.below(bytes.count)
            switch random.below(5) {
            case 0: bytes[position] = UInt8(random.below(256))
            case 1: bytes.removeSubrange(position..<min(bytes.count, position + 1 + random.below(8)))
            case 2: bytes.insert(Array("{}[]\",:%-|()0919e.\\".utf8)[random.below(19)], at: position)
            case 3:
                let length = min(bytes.count - position, 1 + random.below(40))
                bytes.insert(contentsOf: Array(bytes[position..<(position + length)]), at: random.below(bytes.count))
            default: bytes[position] = bytes[random.below(bytes.count)]
            }
        }
        return Data(bytes)
    }

    @Test func tokenizerFiles() throws {
        // A small vocabulary with every component, so that mutations reach all of them.
        let vocabulary = GGUFVocabulary(
            model: "gpt2", preTokenizer: "qwen2", tokens: ["<s>", "</s>", "a", "b", "1", "Ġ", "ab", "Ġab"],
            tokenTypes: [3, 4, 1, 1, 1, 1, 1, 1], merges: ["a b", "Ġ ab"], bosToken: 0, eosToken: 1, addsBOS: true)
        let sentencePiece = #"""
            {"added_tokens":[{"id":0,"content":"<s>","lstrip":true,"rstrip":true,"single_word":true,"special":true}],
            "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace",
            "pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":{"type":"Metaspace","prepend_scheme":"first"},
            "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
            {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
            "model":{"type":"BPE","unk_token":"<s>","fuse_unk":true,"byte_fallback":true,"merges":[["▁","a"],"a b"],
            "vocab":{"<s>":0,"<0x41>":1,"▁":2,"a":3,"b":4,"▁a":5,"ab":6}}}
            """#
        let files = try vocabulary.huggingFaceFiles()
        let configuration = try #require(files.configuration)
        var random = LinearCongruentialGenerator(seed: 3)
        var loaded = 0
        for round in 0..<25_000 {
            let json = round % 2 == 0 ? files.tokenizer : Data(sentencePiece.utf8)
            let mutated = Self.mutate(json, &random)
            let mutatedConfiguration = round % 3 == 0 ? Self.mutate(configuration, &random) : configuration
            guard let tokenizer = try? Tokenizer(json: mutated, configuration: mutatedConfiguration) else { continue }
            loaded += 1
            guard let ids = try? tokenizer.encode("a ab <s> 1é\u{301} A</s>") else { continue }
            _ = try? tokenizer.decode(ids)
        }
        #expect(loaded > 100)
    }

    @Test func chatTemplates() throws {
        let cases = try JSONDecoder().decode([ChatTemplateTests.Case].self, from: try Fixtures.data("templates.json"))
        var random = LinearCongruentialGenerator(seed: 4)
        var rendered = 0
        for round in 0..<25_000 {
            let source = Self.mutate(Data(cases[round % cases.count].source.utf8), &random)
            guard let template = try? ChatTemplate(String(decoding: source, as: UTF8.self)),
                (try? template.render(messages: [["role": "user", "content": "hi"]])) != nil
            else { continue }
            rendered += 1
        }
        #expect(rendered > 100)
    }
}
