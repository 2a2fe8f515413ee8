import Support

/// The values of a file of JSON lines, as Python's json reads them; lines of white space are passed over.
package struct JSONLines {
    private var lines: LineReader

    /// The values of the file at `path`, compressed or not, or of a pipe.
    /// - Parameter limit: the most bytes of a line.
    /// - Throws: ``DataError``.
    package init(path: String, limit: Int = DataOptions().maximumLineBytes) throws {
        self.init(TextSource(try Compression.source(ofFileOrPipe: path), joinsLineEnds: false), limit: limit)
    }

    init(_ source: any ByteSource, limit: Int) { lines = LineReader(source, limit: limit) }

    /// Where the value that was read last stands, counted from 1.
    package var line: Int { lines.line }
    var path: String { lines.source.path }
    var bytesRead: Int { lines.source.bytesRead }

    /// The next value; nil at the end.
    /// - Parameter keys: those that may hold text; under the first that is there, half of a surrogate pair is refused. Where there
    ///   are none, it is refused anywhere.
    /// - Throws: ``DataError``, after which the next call goes on with the next line.
    package mutating func next(text keys: [String] = []) throws -> JSONValue? {
        while let line = try lines.next() {
            guard line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { continue }
            do { return try JSONValue(asPython: line, text: keys) } catch JSONFault.malformed(let offset, let problem) {
                throw DataError.json(file: path, line: lines.line, offset: offset, problem: problem)
            }
        }
        return nil
    }
}
