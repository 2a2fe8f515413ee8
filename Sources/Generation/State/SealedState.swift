import Foundation
import Support

/// What a state bears in front when it leaves the server, by which the server knows it again: nobody without its secret can
/// make such a head, nor another state that fits one.
///
/// | bytes | |
/// |---|---|
/// | 8 | `MoultSe\n` |
/// | 8 | version, 1 |
/// | 8 | bytes of the state file that follows |
/// | 8 | fingerprint of the model |
/// | 32 | SHA-256 of the state file |
/// | 32 | HMAC-SHA256 of all before, with the server's secret |
///
/// The head is checked before the rest is read.
package struct SealedState: Equatable, Sendable {
    /// Bytes of the state file behind it.
    package let length: Int
    /// Of the model.
    package let fingerprint: UInt64
    private let digest: [UInt8]

    private static let magic = Array("MoultSe\n".utf8)
    private static let version: UInt64 = 1
    /// Bytes of the head.
    package static let headBytes = 96
    /// Bytes of a secret.
    package static let secretBytes = 32

    /// A secret that nobody knows.
    package static func newSecret() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<secretBytes).map { _ in .random(in: 0...255, using: &generator) }
    }

    /// Of a state file of the model with `fingerprint`.
    package init(_ file: [UInt8], fingerprint: UInt64) {
        (length, self.fingerprint, digest) = (file.count, fingerprint, SHA256.digest(file))
    }

    /// Reads a head.
    /// - Returns: nil when it was not made with `secret`.
    package init?(head: [UInt8], secret: [UInt8]) {
        let signed = head.prefix(64)
        func number(_ offset: Int) -> UInt64 {
            head.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
        }
        guard head.count == Self.headBytes, signed.starts(with: Self.magic),
            AuthenticationCode.areEqual(AuthenticationCode.of(Array(signed), key: secret), head.suffix(32)),
            number(8) == Self.version, let length = Int(exactly: number(16))
        else { return nil }
        (self.length, fingerprint, digest) = (length, number(24), Array(head[32..<64]))
    }

    /// The head.
    package func head(secret: [UInt8]) -> [UInt8] {
        var bytes = Self.magic
        for number in [Self.version, UInt64(length), fingerprint] {
            withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
        }
        bytes += digest
        return bytes + AuthenticationCode.of(bytes, key: secret)
    }

    /// Whether `file` is what the head was made for.
    package func matches(_ file: some ContiguousBytes) -> Bool { SHA256.digest(file) == digest }
}
