import Checkpoints
import Foundation

/// Writes tokens into shard files of equal length, but for the last.
struct ShardWriter {
    private let folder: String
    private let bytesPerToken: Int
    private let shardTokens: Int
    /// The shard being filled: its tokens as stored, and the starts of its documents.
    private var tokens: [UInt8] = []
    private var starts: [UInt64] = []
    /// Tokens written to files.
    private var written = 0
    private(set) var shards: [ShardManifest.Shard] = []

    init(folder: String, bytesPerToken: Int, shardTokens: Int) {
        self.folder = folder
        self.bytesPerToken = bytesPerToken
        self.shardTokens = shardTokens
    }

    /// Tokens appended.
    var count: Int { written + tokens.count / bytesPerToken }

    static func name(_ shard: Int) -> String { "\(shard).tokens" }

    mutating func append(_ text: TokenisedText) throws {
        var start = text.starts.startIndex
        let base = count
        var position = 0
        while position < text.tokens.count {
            let end = min(text.tokens.count, position + shardTokens - (count - written))
            while start < text.starts.count, text.starts[start] < end {
                starts.append(UInt64(base + text.starts[start]))
                start += 1
            }
            for token in text.tokens[position..<end] {
                // Ids are below 2^16 where they take two bytes.
                withUnsafeBytes(of: token.littleEndian) { tokens += $0.prefix(bytesPerToken) }
            }
            position = end
            if count - written == shardTokens { try finishShard() }
        }
    }

    /// Writes the last shard.
    mutating func finish() throws {
        if !tokens.isEmpty { try finishShard() }
    }

    private mutating func finishShard() throws {
        let bytes = starts.flatMap { start in withUnsafeBytes(of: start.littleEndian) { Array($0) } } + tokens
        try Self.write(bytes, to: "\(folder)/\(Self.name(shards.count))")
        let count = tokens.count / bytesPerToken
        shards.append(.init(tokens: count, documents: starts.count, checksum: XXHash64.text(bytes)))
        written += count
        tokens.removeAll(keepingCapacity: true)
        starts.removeAll(keepingCapacity: true)
    }

    /// Writes a whole file, to the disk.
    static func write(_ bytes: [UInt8], to path: String) throws {
        do {
            var file = try StagedFile(path: path)
            do {
                try bytes.withUnsafeBytes { try file.write($0, at: 0) }
                try file.sync()
                try file.publish()
            } catch {
                file.discard()
                throw error
            }
        } catch CheckpointError.unwritable(_, let reason) {
            throw DataError.unwritable(path: path, reason: reason)
        } catch CheckpointError.exists {
            throw DataError.unwritable(path: path, reason: "it exists already")
        }
    }
}
