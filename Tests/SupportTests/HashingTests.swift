import Foundation
import Support
import Testing

@Suite("Hashes that resist an attacker")
struct HashingTests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test(
        "SHA-256 is that of FIPS 180-4",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                String(repeating: "a", count: 1_000_000),
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
            ),
        ])
    func sha256(_ text: String, _ expected: String) {
        #expect(hex(SHA256.digest(Array(text.utf8))) == expected)
    }

    @Test func piecesAreAsTheWhole() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }
        for length in [0, 1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 1000] {
            let whole = Array(bytes[..<length])
            for size in [1, 3, 64, 65, 200] {
                var hash = SHA256()
                for start in stride(from: 0, to: length, by: size) {
                    hash.update(Array(whole[start..<min(start + size, length)]))
                }
                #expect(hash.finish() == SHA256.digest(whole), "\(length) bytes, \(size) at a time")
            }
        }
    }

    @Test("HMAC-SHA256 is that of RFC 4231")
    func codes() {
        let first = AuthenticationCode.of(Array("Hi There".utf8), key: [UInt8](repeating: 0x0B, count: 20))
        #expect(hex(first) == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        let second = AuthenticationCode.of(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
        #expect(hex(second) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        let long = AuthenticationCode.of(
            Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            key: [UInt8](repeating: 0xAA, count: 131))
        #expect(hex(long) == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
        #expect(AuthenticationCode.areEqual(first, first))
        #expect(!AuthenticationCode.areEqual(first, second))
        #expect(!AuthenticationCode.areEqual(first, first.dropLast()))
    }
}
