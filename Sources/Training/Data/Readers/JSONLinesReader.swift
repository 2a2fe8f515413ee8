import Checkpoints

/// Reads JSON lines as Python's json does: an object a line, the text under one key. Lines of white space are passed over.
struct JSONLinesReader: DocumentReader {
    private var lines: LineReader
    private let key: String

    var bytesRead: Int { lines.source.bytesRead }

    init(_ source: any ByteSource, _ options: DataOptions) {
        lines = LineReader(source, limit: options.maximumLineBytes)
        key = options.textKey
    }

    mutating func next() throws -> DocumentPiece? {
        while let line = try lines.next() {
            guard line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { continue }
            let file = lines.source.path
            let value = try parse(line)
            guard let text = value[key]?.stringValue else {
                let found = value.objectValue == nil ? value.summary : value[key]?.summary ?? "no such key"
                throw DataError.missingText(file: file, place: .line(lines.line), key: key, found: found)
            }
            return DocumentPiece(text: Array(text.utf8), place: .line(lines.line))
        }
        return nil
    }

    private func parse(_ line: ArraySlice<UInt8>) throws -> JSONValue {
        let file = lines.source.path
        do {
            return try JSONValue(asPython: line, file: file, text: key)
        } catch CheckpointError.json(_, let offset, let problem) {
            throw DataError.json(file: file, line: lines.line, offset: offset, problem: problem)
        }
    }
}
