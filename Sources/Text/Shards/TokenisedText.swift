import Checkpoints
import Foundation
import Support
import Tokenizers

/// The tokens of some pieces of text, one behind another.
struct TokenisedText: Sendable {
    private(set) var tokens: [Int32] = []
    /// Where documents begin in `tokens`, ascending.
    private(set) var starts: [Int] = []

    init(_ pieces: [MarkedPiece], _ tokenizer: DocumentTokenizer) throws {
        for piece in pieces {
            if piece.startsDocument {
                starts.append(tokens.count)
                if !piece.isRendered { tokens += tokenizer.prefix }
            }
            tokens += try tokenizer.tokenizer.encode(utf8: Data(piece.text), addSpecialTokens: false)
            if piece.endsDocument, !piece.isRendered { tokens += tokenizer.suffix }
        }
    }
}

/// A piece of a document, and whether it is the first and the last one.
struct MarkedPiece: Sendable {
    let text: [UInt8]
    let startsDocument: Bool
    let endsDocument: Bool
    /// Whether it has the tokens around a document already.
    let isRendered: Bool
}

/// A tokenizer, and the tokens around every document.
package struct DocumentTokenizer: Sendable {
    package let tokenizer: Tokenizer
    /// The token that begins a text, where the tokenizer puts one before each.
    package let prefix: [Int32]
    /// The token that ends a text, if the tokenizer has one.
    package let suffix: [Int32]

    init(_ tokenizer: Tokenizer) {
        self.tokenizer = tokenizer
        prefix = tokenizer.bosToken.map { tokenizer.textPrefix.first == $0 ? [$0] : [] } ?? []
        suffix = tokenizer.eosToken.map { [$0] } ?? []
    }

    /// Bytes of a stored token: 2 where every id fits.
    var bytesPerToken: Int { tokenizer.vocabularySize <= 1 << 16 ? 2 : 4 }

    /// A hash of the files that define the tokenizer.
    var hash: String {
        let files = tokenizer.huggingFaceFiles
        // The first number is that of the rules by which files are read; other rules are other tokens.
        let template = tokenizer.chatTemplate.map { Data($0.utf8) }
        let parts = [files.tokenizer, files.configuration, files.specialTokens, files.addedTokens, template]
            .map { $0 ?? Data() }
        return XXHash64.text(parts.reduce(Data("3:".utf8)) { $0 + Data("\($1.count):".utf8) + $1 })
    }
}
