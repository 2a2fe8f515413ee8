import Testing
import Tokenizers

@Suite struct StreamingDecoderTests {
    @Test(arguments: ["llama3", "llama2", "qwen2"])
    func neverSplitsACharacter(name: String) throws {
        let tokenizer = try Fixtures.tokenizer(name)
        let text = "naïve 字 👩‍👩‍👧‍👦 𝔄 a"
        let ids = try tokenizer.encode(text)
        var decoder = StreamingDecoder(tokenizer)
        var pieces = try ids.map { try decoder.push($0) }
        pieces.append(decoder.finish())
        #expect(pieces.joined() == text)
        #expect(pieces.contains(""))
        #expect(!pieces.contains { $0.contains("\u{FFFD}") })
    }

    @Test func equalsDecodingAtOnce() throws {
        let fixture = try IdentityFixture.load()
        for name in ["llama3", "qwen2"] {
            let tokenizer = try Fixtures.tokenizer(name)
            for expected in fixture.tokenizers where expected.name == name {
                for decoding in expected.decoding {
                    var decoder = StreamingDecoder(tokenizer)
                    let text = try decoding.ids.map { try decoder.push($0) }.joined() + decoder.finish()
                    #expect(text.utf8.elementsEqual(decoding.text.utf8))
                }
            }
        }
    }

    @Test func idsWithoutATokenStandForNothing() throws {
        let tokenizer = try Fixtures.tokenizer("llama3")
        let ids = try tokenizer.encode("one two", addSpecialTokens: false)
        var decoder = StreamingDecoder(tokenizer)
        for id in [Int32(tokenizer.vocabularySize), .max] {
            #expect(try decoder.push(id) == "")
            #expect(try tokenizer.decode([ids[0], id] + ids[1...]) == "one two")
            #expect(tokenizer.token(for: id) == nil)
        }
        for id in [-1, Int32.min] {
            #expect(throws: TokenizerError.negativeID(id)) { try decoder.push(id) }
            #expect(throws: TokenizerError.negativeID(id)) { try tokenizer.decode([1, id]) }
        }
    }
}
