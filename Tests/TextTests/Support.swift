import Foundation
import Text
import Tokenizers

/// What Tools/fixtures/data.py made, and tokenizers of the tokenizer tests.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    struct Documents: Decodable {
        /// The texts of the required columns, and of the optional ones, where nil is null.
        let texts: [String]
        let holes: [String?]
    }

    static func path(_ name: String) -> String { folder.appendingPathComponent("Fixtures/\(name)").path }

    static func bytes(_ name: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    static func documents() throws -> Documents {
        try JSONDecoder().decode(Documents.self, from: Data(bytes("documents.json")))
    }

    /// A byte-level tokenizer of 2003 tokens that begins texts with a token, and ends them with another.
    static func tokenizer() throws -> Tokenizer { try Tokenizer(files: tokenizerFiles()) }

    /// A tokenizer of the tokenizer tests: llama3, qwen2 or llama2.
    static func tokenizer(_ name: String) throws -> Tokenizer { try Tokenizer(files: tokenizerFiles(name)) }

    /// A tokenizer with a chat template.
    static func chatTokenizer(_ template: String = chatML) throws -> Tokenizer {
        var files = try tokenizerFiles()
        files.chatTemplate = Data(template.utf8)
        return try Tokenizer(files: files)
    }

    /// A template as that of SmolLM2, which refuses a message without content.
    static let chatML = """
        {%- for message in messages -%}
            {%- if message.content is none -%}{{ raise_exception('no content') }}{%- endif -%}
            {{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
        {%- endfor -%}
        {%- if tools is not none -%}{{ tools | length }} tools{%- endif -%}
        {%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}
        """

    static func tokenizerFiles(_ name: String = "llama3") throws -> TokenizerFiles {
        try TokenizerFiles(
            directory: folder.deletingLastPathComponent().appendingPathComponent("TokenizersTests/Fixtures/\(name)"))
    }
}

/// What a stream of documents gave: texts, pieces put together again.
struct ReadDocuments {
    var texts: [String] = []
    var pieces: [DocumentPiece] = []
    var statistics = DataStatistics()

    init(_ paths: [String], _ options: DataOptions = DataOptions(), chat: ConversationText? = nil) throws {
        var stream = DocumentStream(try paths.map { try DataFile(path: $0) }, options: options, chat: chat)
        var open: [UInt8] = []
        while let piece = try stream.next() {
            pieces.append(piece)
            open += piece.text
            guard piece.endsDocument else { continue }
            texts.append(String(decoding: open, as: UTF8.self))
            open = []
        }
        statistics = stream.statistics
    }
}

extension DataOptions {
    /// Options with some values changed.
    static func with(_ change: (inout DataOptions) -> Void) -> DataOptions {
        var options = DataOptions()
        change(&options)
        return options
    }
}
