import Generation
import Support
import Tokenizers

/// Tokens as likelihoods name them.
struct TokenTexts: Sendable {
    let tokenizer: Tokenizer

    func bytes(_ id: Int32) -> [UInt8] { tokenizer.bytes(of: id) }

    /// The token's text; of a piece of a character its bytes as `bytes:\xe2\x80`, so that different tokens have different names.
    func name(_ id: Int32) -> String {
        let bytes = bytes(id)
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        let digits = bytes.map { "\\x" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        return "bytes:" + digits.joined()
    }

    /// A log-probability with no more digits than tell it from its neighbours.
    static func number(_ value: Float) -> JSONValue { .number(Double("\(value)") ?? Double(value)) }
}
