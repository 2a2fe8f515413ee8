import Foundation
import Tokenizers

extension Target {
    static let tokenizerTargets = [
        Target(name: "tokenizer") { bytes in
            let tokenizer = try Tokenizer(json: Data(bytes))
            let ids = try tokenizer.encode("The fox doesn't jump over 12345 dogs… é 你好\n\n ☃")
            _ = try tokenizer.decode(ids)
        },
        Target(name: "encode") { bytes in
            guard let known else { return }
            let text = String(decoding: bytes, as: UTF8.self)
            let ids = try known.encode(text, addSpecialTokens: false)
            let decoded = try known.decode(ids)
            precondition(decoded == text, "decoded, the text is another")
        },
        Target(name: "template") { bytes in
            let template = try ChatTemplate(String(decoding: bytes, as: UTF8.self))
            _ = try template.render(
                messages: [
                    ["role": "system", "content": "Be brief."], ["role": "user", "content": "Hello \u{e9}"],
                ], variables: ["bos_token": "<s>"])
        },
    ]

    /// The tokenizer of the folder MODEL.
    private static let known = ProcessInfo.processInfo.environment["MODEL"].flatMap { path in
        FileManager.default.contents(atPath: "\(path)/tokenizer.json").flatMap { try? Tokenizer(json: $0) }
    }
}
