import Checkpoints
import Foundation
import Support
import Tokenizers
import Training

extension Target {
    static let jsonTargets = [
        Target(name: "json") { bytes in
            let value = try JSONValue(parsing: bytes, file: "fuzz.json")
            // What is written is read again as the same.
            let text = value.text(indented: true)
            let again = try JSONValue(parsing: Array(text.utf8), file: "fuzz.json")
            precondition(again.text(indented: true) == text, "written and read again, the value is another")
        },
        Target(name: "tokenizer-json") { bytes in
            _ = try JSONValue(parsing: String(decoding: bytes, as: UTF8.self))
        },
        Target(name: "configuration") { bytes in
            let json = try JSONValue(parsing: bytes, file: "config.json")
            _ = try DecoderConfiguration(json: json, file: "config.json")
        },
        Target(name: "settings") { bytes in
            let settings = try TrainingConfiguration(
                yaml: String(decoding: bytes, as: UTF8.self), path: "fuzz.yaml")
            _ = try TrainingConfiguration(yaml: settings.yaml(), path: "again.yaml")
        },
    ]
}
