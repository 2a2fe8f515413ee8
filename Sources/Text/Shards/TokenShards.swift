import Checkpoints
import Foundation
import Support

/// The tokens of a source, mapped from shard files, as one long sequence.
struct TokenShards: Sendable {
    let manifest: ShardManifest
    private let files: [MappedFile]

    /// Tokens in all.
    var count: Int { manifest.statistics.tokens }

    /// A hash of all that is stored.
    var fingerprint: String { XXHash64.text(Data(manifest.shards.map(\.checksum).joined().utf8)) }

    /// Opens the shards in `folder`.
    /// - Returns: nil when there are none, or when they are damaged or were made of something else.
    init?(folder: String, origin: ShardManifest.Origin) {
        guard let json = try? RegularFile.contents("\(folder)/\(Self.manifestName)"),
            let manifest = try? JSONDecoder().decode(ShardManifest.self, from: json),
            manifest.version == ShardManifest.currentVersion, manifest.origin == origin,
            let files = Self.mapped(manifest, folder)
        else { return nil }
        self.manifest = manifest
        self.files = files
    }

    static let manifestName = "manifest.json"

    /// The shard files, checked against the manifest; nil when one of them does not agree.
    private static func mapped(_ manifest: ShardManifest, _ folder: String) -> [MappedFile]? {
        var files: [MappedFile] = []
        var total = 0
        for (index, shard) in manifest.shards.enumerated() {
            let isLast = index == manifest.shards.count - 1
            let limit = manifest.origin.shardTokens
            guard isLast ? (1...limit).contains(shard.tokens) : shard.tokens == limit,
                (0...shard.tokens).contains(shard.documents),
                let file = try? MappedFile(path: "\(folder)/\(ShardWriter.name(index))"),
                file.bytes.count == shard.tokensOffset + shard.tokens * manifest.origin.bytesPerToken,
                XXHash64.text(file.bytes) == shard.checksum
            else { return nil }
            files.append(file)
            total += shard.tokens
        }
        return total == manifest.statistics.tokens ? files : nil
    }

    /// The tokens at `range`, which must lie within ``count``.
    func tokens(in range: Range<Int>) -> [Int32] {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "tokens \(range) of \(count)")
        let isNarrow = manifest.origin.bytesPerToken == 2
        return [Int32](unsafeUninitializedCapacity: range.count) { output, filled in
            for (shard, part) in parts(of: range) {
                let (bytes, offset) = (files[shard].bytes, manifest.shards[shard].tokensOffset)
                for token in part {
                    output[filled] =
                        isNarrow
                        ? Int32(UInt16(littleEndian: bytes.load(fromByteOffset: offset + 2 * token, as: UInt16.self)))
                        : Int32(littleEndian: bytes.load(fromByteOffset: offset + 4 * token, as: Int32.self))
                    filled += 1
                }
            }
        }
    }

    /// Where documents begin within `range`, ascending, counted from the source's first token.
    func documentStarts(in range: Range<Int>) -> [Int] {
        var found: [Int] = []
        for (shard, _) in parts(of: range) {
            let (bytes, count) = (files[shard].bytes, manifest.shards[shard].documents)
            func start(_ index: Int) -> Int {
                Int(truncatingIfNeeded: UInt64(littleEndian: bytes.load(fromByteOffset: 8 * index, as: UInt64.self)))
            }
            // The first document that begins at or behind the range's start.
            var (low, high) = (0, count)
            while low < high {
                let middle = (low + high) / 2
                if start(middle) < range.lowerBound { low = middle + 1 } else { high = middle }
            }
            while low < count, start(low) < range.upperBound {
                found.append(start(low))
                low += 1
            }
        }
        return found
    }

    /// The shards in which `range` lies, and where in each.
    private func parts(of range: Range<Int>) -> [(shard: Int, tokens: Range<Int>)] {
        let length = manifest.origin.shardTokens
        guard !range.isEmpty else { return [] }
        return (range.lowerBound / length...(range.upperBound - 1) / length).map { shard in
            let base = shard * length
            return (shard, max(range.lowerBound, base) - base..<min(range.upperBound, base + length) - base)
        }
    }
}
