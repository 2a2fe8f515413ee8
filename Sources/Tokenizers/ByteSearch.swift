import CSupport
import Foundation

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

extension String {
    /// The text's bytes in memory.
    private func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        if let result = utf8.withContiguousStorageIfAvailable(body) { return result }
        return Array(utf8).withUnsafeBufferPointer(body)
    }

    /// Below 0 where this text comes before `other` by code points, above 0 where it comes behind, 0 when they are equal.
    func comparedBytes(to other: String) -> Int {
        withBytes { left in
            other.withBytes { right in
                let count = min(left.count, right.count)
                if count > 0, let first = left.baseAddress, let second = right.baseAddress {
                    let order = memcmp(first, second, count)
                    if order != 0 { return Int(order) }
                }
                return left.count - right.count
            }
        }
    }

    /// Whether two texts have the same bytes; `==` compares by canonical equivalence.
    func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && comparedBytes(to: other) == 0
    }
}
