import Foundation
import Support

/// Whole text files as Python reads them: without a mark before UTF-8, with Windows' line ends as Unix's, refusing what is not
/// UTF-8. Names that end in .zst or .gz are of compressed files.
package enum TextFile {
    /// The most bytes of a text.
    private static let limit = 1 << 30

    /// The text of the file, or of the pipe, at `path`.
    /// - Throws: ``DataError``.
    package static func read(_ path: String) throws -> String {
        if Compression(path: path) != nil { return try text(unpacked(path), from: path) }
        do { return try text(RegularFile.contentsOrPipe(path, pipeLimit: limit), from: path) } catch let fault
            as RegularFile.Fault
        {
            throw DataError.unreadable(file: path, reason: "\(fault.description); expected a UTF-8 text file")
        }
    }

    /// The text that `data` is.
    /// - Parameter path: where it comes from.
    /// - Throws: ``DataError/encoding(file:found:)``.
    package static func text(_ data: Data, from path: String) throws -> String {
        if let found = TextEncoding.foreign(data) { throw DataError.encoding(file: path, found: found) }
        guard let text = String(validating: TextEncoding.unmarked(data), as: UTF8.self) else {
            let place = firstInvalidByte(data)
            throw DataError.encoding(file: path, found: "what is none at byte \(place); convert the text first")
        }
        return TextEncoding.unixLines(text)
    }

    /// The offset of the first byte that no valid UTF-8 text has there.
    package static func firstInvalidByte(_ data: Data) -> Int {
        var decoder = UTF8()
        var iterator = data.makeIterator()
        var valid = 0
        while case .scalarValue(let scalar) = decoder.decode(&iterator) { valid += UTF8.width(scalar) }
        return valid
    }

    private static func unpacked(_ path: String) throws -> Data {
        let source = try Compression.source(of: path)
        var bytes: [UInt8] = []
        while try source.read(1 << 18, into: &bytes) {
            guard bytes.count <= limit else {
                throw DataError.tooLarge(
                    file: path, place: .file, part: "the text's length in bytes", limit: limit, found: bytes.count)
            }
        }
        return Data(bytes)
    }
}

extension TextFile {
    /// The file at `path`, or one of its name with the ending of a compression behind it; nil when there is none.
    package static func found(_ path: String) -> String? {
        ([path] + Compression.allCases.map { path + $0.rawValue }).first { FileManager.default.fileExists(atPath: $0) }
    }

    /// The text of the file at `path`: the whole file, or the documents of a file of lines or Parquet with an empty line between
    /// them.
    /// - Throws: ``DataError``.
    package static func read(_ path: String, options: DataOptions, chat: ConversationText) throws -> String {
        guard let format = DataFormat(path: path), format != .text else { return try read(path) }
        try options.validate()
        var stream = DocumentStream([try DataFile(path: path)], options: options, chat: chat)
        var (text, endsDocument): ([UInt8], Bool) = ([], false)
        while let piece = try stream.next() {
            if endsDocument { text += "\n\n".utf8 }
            text += piece.text
            endsDocument = piece.endsDocument
        }
        return String(decoding: text, as: UTF8.self)
    }
}
