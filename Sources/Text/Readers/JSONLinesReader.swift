import Checkpoints
import Tokenizers

/// Reads JSON lines as Python's json does: an object a line, the text, or the messages of a conversation, under one key.
/// Lines of white space are passed over.
struct JSONLinesReader: DocumentReader {
    private var lines: LineReader
    private let keys: [String]
    private let chat: ConversationText?

    var bytesRead: Int { lines.source.bytesRead }

    init(_ source: any ByteSource, _ options: DataOptions, _ chat: ConversationText?) {
        lines = LineReader(source, limit: options.maximumLineBytes)
        keys = options.textKeys
        self.chat = chat
    }

    mutating func next() throws -> DocumentPiece? {
        while let line = try lines.next() {
            guard line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { continue }
            let (file, place) = (lines.source.path, DataPlace.line(lines.line))
            let record = try parse(line)
            let key = keys.first { record[$0] != nil }
            switch key.flatMap({ record[$0] }) {
            case .string(let text)?: return DocumentPiece(text: Array(text.utf8), place: place)
            case .array(let messages)? where messages.allSatisfy { $0.objectValue != nil }:
                return try chat.piece(
                    messages.map { .init($0) }, tools: record["tools"]?.arrayValue?.map { .init($0) }, file: file,
                    place: place)
            case let other:
                let found = record.objectValue == nil ? record.summary : other?.summary ?? "no such key"
                throw DataError.missingText(file: file, place: place, key: key ?? keys[0], found: found)
            }
        }
        return nil
    }

    private func parse(_ line: ArraySlice<UInt8>) throws -> Checkpoints.JSONValue {
        let file = lines.source.path
        do {
            return try JSONValue(asPython: line, file: file, text: keys)
        } catch CheckpointError.json(_, let offset, let problem) {
            throw DataError.json(file: file, line: lines.line, offset: offset, problem: problem)
        }
    }
}
