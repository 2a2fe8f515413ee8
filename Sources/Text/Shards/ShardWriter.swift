import Checkpoints
import Foundation
import Support

/// Writes tokens into shard files of equal length, but for the last.
struct ShardWriter {
    private let folder: String
    private let bytesPerToken: Int
    private let shardTokens: Int
    /// The shard being filled: its tokens, and the starts of its documents.
    private var tokens: [Int32] = []
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
    var count: Int { written + tokens.count }

    static let ending = ".tokens"
    static func name(_ shard: Int) -> String { "\(shard)\(ending)" }

    mutating func append(_ text: TokenisedText) throws {
        var start = text.starts.startIndex
        let base = count
        var position = 0
        while position < text.tokens.count {
            let end = min(text.tokens.count, position + shardTokens - tokens.count)
            while start < text.starts.count, text.starts[start] < end {
                starts.append(UInt64(base + text.starts[start]))
                start += 1
            }
            tokens += text.tokens[position..<end]
            position = end
            if tokens.count == shardTokens { try finishShard() }
        }
    }

    /// Writes the last shard.
    mutating func finish() throws {
        if !tokens.isEmpty { try finishShard() }
    }

    private mutating func finishShard() throws {
        let bytes = stored()
        try Self.write(bytes, to: "\(folder)/\(Self.name(shards.count))")
        shards.append(.init(tokens: tokens.count, documents: starts.count, checksum: XXHash64.text(bytes)))
        written += tokens.count
        tokens.removeAll(keepingCapacity: true)
        starts.removeAll(keepingCapacity: true)
    }

    /// The shard's file: starts, then tokens.
    private func stored() -> [UInt8] {
        let offset = 8 * starts.count
        let size = offset + bytesPerToken * tokens.count
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            let output = UnsafeMutableRawBufferPointer(buffer)
            for (index, start) in starts.enumerated() {
                output.storeBytes(of: start.littleEndian, toByteOffset: 8 * index, as: UInt64.self)
            }
            for (index, token) in tokens.enumerated() {
                if bytesPerToken == 2 {
                    // Every id of the vocabulary fits.
                    let narrow = UInt16(truncatingIfNeeded: token).littleEndian
                    output.storeBytes(of: narrow, toByteOffset: offset + 2 * index, as: UInt16.self)
                } else {
                    output.storeBytes(of: token.littleEndian, toByteOffset: offset + 4 * index, as: Int32.self)
                }
            }
            count = size
        }
    }

    /// Writes a whole file, to the disk.
    static func write(_ bytes: [UInt8], to path: String) throws {
        do { try StagedFile.write(bytes, to: path) } catch {
            throw DataError.unwritable(path: path, reason: error.description)
        }
    }
}
