/// What a folder of shards holds and was made of: manifest.json.
struct ShardManifest: Codable, Equatable {
    /// A file of tokens: the starts of documents that lie in it, counted from the source's first token, as UInt64; then
    /// the tokens. All little-endian.
    struct Shard: Codable, Equatable {
        var tokens: Int
        var documents: Int
        /// XXH64 of the file.
        var checksum: String

        /// Where the tokens begin.
        var tokensOffset: Int { 8 * documents }
    }

    /// What the tokens depend on; shards are reused when all of it is equal.
    struct Origin: Codable, Equatable {
        var files: [DataFile]
        var tokenizer: String
        var bytesPerToken: Int
        var textKey: String
        var separator: String?
        var onError: DataOptions.ErrorPolicy
        var maximumPieceBytes: Int
        var maximumLineBytes: Int
        var shardTokens: Int
    }

    static let currentVersion = 1
    var version = currentVersion
    var origin: Origin
    var shards: [Shard]
    var statistics: DataStatistics
}
