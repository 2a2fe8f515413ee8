import Foundation

/// The bytes of a file, from its beginning.
final class FileSource: ByteSource {
    let path: String
    private(set) var bytesRead = 0
    private let file: RandomAccessFile

    init(path: String) throws {
        self.path = path
        file = try RandomAccessFile(path: path)
    }

    func read(_ count: Int, into buffer: inout [UInt8]) throws -> Bool {
        let count = min(count, file.size - bytesRead)
        guard count > 0 else { return false }
        let start = bytesRead
        bytesRead = file.size
        buffer += try file.read(count, at: start, part: "the text", place: .byte(start))
        bytesRead = start + count
        return true
    }
}
