import Foundation

extension String {
    /// The text's bytes in memory.
    private func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        if let result = utf8.withContiguousStorageIfAvailable(body) { return result }
        return Array(utf8).withUnsafeBufferPointer(body)
    }

    /// Below 0 where this text comes before `other` by code points, above 0 where it comes behind, 0 when they are equal.
    package func comparedBytes(to other: String) -> Int {
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
    package func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && comparedBytes(to: other) == 0
    }
}

extension UInt8 {
    /// Whether it is a letter or a digit of ASCII's, `-` or `_`.
    package var isOfPlainName: Bool {
        (0x61...0x7A).contains(self | 0x20) || (0x30...0x39).contains(self) || self == 0x2D || self == 0x5F
    }
}
