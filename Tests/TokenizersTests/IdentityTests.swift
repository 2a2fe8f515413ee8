import Foundation
import Testing
import Tokenizers

/// The ids and texts of Hugging Face `tokenizers`, over 2.2 MB of mixed text for every kind of tokenizer.
@Suite struct IdentityTests {
    @Test func mixedText() throws {
        let fixture = try IdentityFixture.load()
        let texts = (0..<fixture.tokenizers[0].blocks.count).map { fixture.mixedText(seed: UInt64($0)) }
        #expect(texts.reduce(0) { $0 + $1.utf8.count } > 2_000_000)
        for expected in fixture.tokenizers {
            let tokenizer = try expected.tokenizer()
            for (block, text) in texts.enumerated() {
                let ids = try tokenizer.encode(text, addSpecialTokens: false)
                guard fnv(ids) == expected.blocks[block] else {
                    Issue.record("\(expected.name): other ids in block \(block)")
                    break
                }
                let decoded = try tokenizer.decode(ids, skipSpecialTokens: false)
                guard fnv(decoded.utf8) == expected.decoded[block] else {
                    Issue.record("\(expected.name): another text decoded in block \(block)")
                    break
                }
            }
        }
    }

    @Test func piecesWithSpecialTokens() throws {
        let fixture = try IdentityFixture.load()
        for expected in fixture.tokenizers {
            let tokenizer = try expected.tokenizer()
            for (piece, ids) in zip(fixture.pieces, expected.pieces) {
                #expect(try tokenizer.encode(piece) == ids, "\(expected.name): \(piece)")
            }
        }
    }

    @Test func decodingOfRandomIDs() throws {
        let fixture = try IdentityFixture.load()
        for expected in fixture.tokenizers {
            let tokenizer = try expected.tokenizer()
            for decoding in expected.decoding {
                let text = try tokenizer.decode(decoding.ids)
                #expect(text.utf8.elementsEqual(decoding.text.utf8), "\(expected.name): \(decoding.ids)")
                let whole = try tokenizer.decode(decoding.ids, skipSpecialTokens: false)
                #expect(
                    whole.utf8.elementsEqual(decoding.textWithSpecialTokens.utf8), "\(expected.name): \(decoding.ids)")
            }
        }
    }
}
