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

    @Test func refusesUnknownIDs() throws {
        let tokenizer = try Fixtures.tokenizer("llama3")
        let size = tokenizer.vocabularySize
        var decoder = StreamingDecoder(tokenizer)
        for id in [-1, Int32(size), .max, .min] {
            #expect(throws: TokenizerError.unknownID(id: id, vocabularySize: size)) { try decoder.push(id) }
            #expect(throws: TokenizerError.unknownID(id: id, vocabularySize: size)) { try tokenizer.decode([1, id]) }
            #expect(tokenizer.token(for: id) == nil)
        }
    }
}
