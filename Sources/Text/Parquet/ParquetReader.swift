import Support
import Tokenizers

/// Reads one column of text, or a list of messages, of a Parquet file (parquet-format 2): a row is a document.
struct ParquetReader: DocumentReader {
    /// The largest footer that is read, bytes.
    static let maximumFooterSize = 16 << 20
    /// The most messages of a conversation.
    private static let maximumMessages = 1 << 16

    private let file: RandomAccessFile
    private let name: String
    private let content: ParquetContent
    private let chat: ConversationText?
    private var readers: [ParquetColumnReader]
    /// Of each column the value that was read last, which begins the next row.
    private var ahead: [ParquetValue?]
    /// The row group being read, and rows given out.
    private var group = 0
    private var row = 0

    var bytesRead: Int { readers.map(\.bytesRead).max() ?? 0 }

    /// Opens a file.
    /// - Parameters:
    ///   - keys: names of columns, with dots between the parts of their paths, of which the first that is there is read.
    ///   - chat: what writes conversations as text.
    init(_ file: RandomAccessFile, keys: [String], _ chat: ConversationText?) throws {
        self.file = file
        self.chat = chat
        let trailer = try file.read(8, at: max(0, file.size - 8), part: "the footer", place: .footer)
        let leader = try file.read(4, at: 0, part: "the mark PAR1", place: .file)
        guard leader == Array("PAR1".utf8), trailer[4...].elementsEqual("PAR1".utf8), file.size >= 12 else {
            guard !trailer[4...].elementsEqual("PARE".utf8) else {
                throw DataError.unsupported(
                    file: file.path, place: .footer, what: "Parquet file", found: "an encrypted one",
                    supported: "files that are not encrypted")
            }
            throw DataError.malformed(
                file: file.path, place: .file, part: "first and last bytes", expected: "PAR1", found: "others")
        }
        let size = trailer[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard size <= Self.maximumFooterSize else {
            throw DataError.tooLarge(
                file: file.path, place: .footer, part: "its length in bytes", limit: Self.maximumFooterSize, found: size
            )
        }
        let start = file.size - 8 - size
        guard start >= 4 else {
            throw DataError.truncated(
                file: file.path, place: .footer, part: "the footer", needed: size, available: file.size - 12)
        }
        let footer = try file.read(size, at: start, part: "the footer", place: .footer)
        (name, content) = try ParquetFooter(footer, file: file.path).content(keys, end: start)
        readers = content.columns.map { ParquetColumnReader(file, $0) }
        ahead = readers.map { _ in nil }
    }

    mutating func next() throws -> DocumentPiece? {
        guard let chunks = content.columns.first?.chunks else { return nil }
        while group < chunks.count {
            guard row < chunks[group].rows else {
                startNextGroup()
                continue
            }
            row += 1
            let place = DataPlace.row(rowGroup: group + 1, row: row)
            switch content {
            case .text:
                guard let text = try whole({ try $0.readers[0].next()?.bytes }) else {
                    throw DataError.missingText(file: file.path, place: place, key: name, found: "null")
                }
                return DocumentPiece(text: text, place: place)
            case .messages(let fields, let definition, let elementDefinition):
                let values = try whole { try $0.rowOfMessages(place) }
                guard let first = values.first?.first, first.definition >= definition else {
                    throw DataError.missingText(file: file.path, place: place, key: name, found: "null")
                }
                // A list without an element has one value, which says so.
                let count = first.definition >= elementDefinition ? values[0].count : 0
                let messages = try (0..<count).map { index in
                    let pairs = try zip(fields, values).map { field, values in
                        (field.field, try text(values[index].bytes, place))
                    }
                    return JSONValue.object(JSONObject(pairs))
                }
                return try chat.piece(messages, file: file.path, place: place)
            }
        }
        return nil
    }

    private mutating func startNextGroup() {
        group += 1
        row = 0
        for index in readers.indices {
            readers[index].start(group: group)
            ahead[index] = nil
        }
    }

    /// What `read` gives. The rows behind damage cannot be told apart: then reading goes on with the next row group.
    private mutating func whole<Value>(_ read: (inout ParquetReader) throws -> Value) throws -> Value {
        do { return try read(&self) } catch {
            startNextGroup()
            throw error
        }
    }

    /// Each column's values of the next row, equally many.
    private mutating func rowOfMessages(_ place: DataPlace) throws -> [[ParquetValue]] {
        var columns: [[ParquetValue]] = []
        for index in readers.indices {
            guard let first = try ahead[index] ?? readers[index].next(), first.repetition == 0 else {
                throw malformed(place, "a list", "a value that begins it", "none")
            }
            var values = [first]
            ahead[index] = nil
            while let value = try readers[index].next() {
                guard value.repetition > 0 else {
                    ahead[index] = value
                    break
                }
                guard values.count < Self.maximumMessages else {
                    throw DataError.tooLarge(
                        file: file.path, place: place, part: "the number of messages", limit: Self.maximumMessages,
                        found: values.count + 1)
                }
                values.append(value)
            }
            columns.append(values)
        }
        guard let count = columns.first?.count, columns.allSatisfy({ $0.count == count }) else {
            throw malformed(
                place, "the fields of messages", "equally many",
                columns.map { "\($0.count)" }.joined(separator: " and "))
        }
        return columns
    }

    /// A field of a message.
    private func text(_ bytes: [UInt8]?, _ place: DataPlace) throws -> JSONValue {
        guard let bytes else { return .null }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw DataError.notUTF8(file: file.path, place: place)
        }
        return .string(text)
    }

    private func malformed(_ place: DataPlace, _ part: String, _ expected: String, _ found: String) -> DataError {
        .malformed(file: file.path, place: place, part: part, expected: expected, found: found)
    }
}
