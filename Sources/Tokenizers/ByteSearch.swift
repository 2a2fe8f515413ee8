import CSupport
import Foundation
import Support

/// Looks for byte strings in byte strings, in time that grows with the text alone whatever both hold.
enum ByteSearch {
    /// Where `pattern`, which is not empty, is found first from `start` on.
    static func first(_ pattern: [UInt8], in bytes: [UInt8], from start: Int = 0) -> Int? {
        bytes.withUnsafeBufferPointer { bytes in
            pattern.withUnsafeBufferPointer { first($0, in: bytes, from: start) }
        }
    }

    private static func first(
        _ pattern: UnsafeBufferPointer<UInt8>, in bytes: UnsafeBufferPointer<UInt8>, from start: Int
    ) -> Int? {
        guard let base = bytes.baseAddress, let sought = pattern.baseAddress, bytes.count - start >= pattern.count,
            let found = moult_find(base + start, bytes.count - start, sought, pattern.count)
        else { return nil }
        return found - UnsafeRawPointer(base)
    }

    /// `text` with `content` in place of every occurrence of `pattern`, which is not empty.
    /// - Returns: nil when it would have more than `limit` bytes.
    static func replacing(
        _ pattern: [UInt8], with content: [UInt8], in text: [UInt8], limit: Int = .max
    ) -> [UInt8]? {
        text.withUnsafeBufferPointer { bytes in
            pattern.withUnsafeBufferPointer { pattern in
                var result: [UInt8] = []
                result.reserveCapacity(min(limit, bytes.count + bytes.count / 4))
                var copied = 0
                while let found = first(pattern, in: bytes, from: copied) {
                    guard result.count + (found - copied) + content.count <= limit else { return nil }
                    result.append(contentsOf: bytes[copied..<found])
                    result.append(contentsOf: content)
                    copied = found + pattern.count
                }
                guard result.count + (bytes.count - copied) <= limit else { return nil }
                result.append(contentsOf: bytes[copied...])
                return result
            }
        }
    }
}
