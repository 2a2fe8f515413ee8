import Support

/// What tells a stored state from others, and the name of its file: FINGERPRINT-SCOPE-HASH-TOKENS-exact.moult-state, or `near`
/// where going on is as reading the whole up to rounding.
struct StateKey: FileKey {
    /// Of the model.
    var fingerprint: UInt64
    /// Tells whose it is to who has the folder's secret.
    var scope: UInt64
    var digest: TokenDigest
    /// Tokens that were read.
    var count: Int
    var isExact: Bool

    private static let suffix = ".moult-state"

    init(fingerprint: UInt64, scope: UInt64, digest: TokenDigest, count: Int, isExact: Bool) {
        (self.fingerprint, self.scope, self.digest) = (fingerprint, scope, digest)
        (self.count, self.isExact) = (count, isExact)
    }

    init?(name: String) {
        guard name.hasSuffix(Self.suffix) else { return nil }
        let parts = name.dropLast(Self.suffix.count).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 5, let fingerprint = UInt64(parts[0], radix: 16), let scope = UInt64(parts[1], radix: 16),
            let digest = UInt64(parts[2], radix: 16), let count = Int(parts[3]), count > 0,
            ["exact", "near"].contains(parts[4])
        else { return nil }
        self.init(
            fingerprint: fingerprint, scope: scope, digest: TokenDigest(digest), count: count,
            isExact: parts[4] == "exact")
    }

    var name: String {
        "\(fingerprint.hexadecimal)-\(scope.hexadecimal)-\(digest.value.hexadecimal)-\(count)-\(isExact ? "exact" : "near")"
            + Self.suffix
    }

    /// States of the same length, since most lengths have none.
    var group: Int { count }
}
