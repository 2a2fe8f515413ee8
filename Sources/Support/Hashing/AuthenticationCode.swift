import Foundation

/// HMAC with SHA-256 (RFC 2104): who does not know the key cannot make the code of a message.
package enum AuthenticationCode {
    /// The code of `message`, 32 bytes.
    package static func of(_ message: some ContiguousBytes, key: [UInt8]) -> [UInt8] {
        var key = key.count > SHA256.blockBytes ? SHA256.digest(key) : key
        key += [UInt8](repeating: 0, count: SHA256.blockBytes - key.count)
        var inner = SHA256()
        inner.update(key.map { $0 ^ 0x36 })
        inner.update(message)
        var outer = SHA256()
        outer.update(key.map { $0 ^ 0x5C })
        outer.update(inner.finish())
        return outer.finish()
    }

    /// Whether two codes are the same, in a time that does not depend on where they differ.
    package static func areEqual(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        left.count == right.count && zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
