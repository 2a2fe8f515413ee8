import Checkpoints
import Tokenizers

/// Reads JSON lines: an object a line, the text, or the messages of a conversation, under one key.
struct JSONLinesReader: DocumentReader {
    private var lines: JSONLines
    private let keys: [String]
    private let chat: ConversationText?

    var bytesRead: Int { lines.bytesRead }

    init(_ source: any ByteSource, _ options: DataOptions, _ chat: ConversationText?) {
        lines = JSONLines(source, limit: options.maximumLineBytes)
        keys = options.textKeys
        self.chat = chat
    }

    mutating func next() throws -> DocumentPiece? {
        guard let record = try lines.next(text: keys) else { return nil }
        let (file, place) = (lines.path, DataPlace.line(lines.line))
        let key = keys.first { record[$0] != nil }
        switch key.flatMap({ record[$0] }) {
        case .string(let text)?: return DocumentPiece(text: Array(text.utf8), place: place)
        case .array(let messages)? where messages.allSatisfy { $0.objectValue != nil }:
            return try chat.piece(
                messages, tools: record["tools"]?.arrayValue, file: file,
                place: place)
        case let other:
            let found = record.objectValue == nil ? record.summary : other?.summary ?? "no such key"
            throw DataError.missingText(file: file, place: place, key: key ?? keys[0], found: found)
        }
    }
}
