import Foundation

/// Bytes that are in memory.
final class MemorySource: ByteSource {
    let path: String
    private let bytes: Data
    private(set) var bytesRead = 0

    /// - Parameter path: where the bytes come from.
    init(_ bytes: Data, path: String) { (self.bytes, self.path) = (bytes, path) }

    func read(_ count: Int, into buffer: inout [UInt8]) throws -> Bool {
        let part = bytes.dropFirst(bytesRead).prefix(count)
        buffer += part
        bytesRead += part.count
        return !part.isEmpty
    }
}
