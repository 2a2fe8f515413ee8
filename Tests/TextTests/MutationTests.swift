import Foundation
import Support
import TestSupport
import Testing
import Text

/// Seeded damage to sound files: whatever the bytes, a reader gives texts or throws a DataError, and never traps.
@Suite struct MutationTests {
    private static let rounds = 5_000

    @Test(arguments: [
        (
            ".parquet", UInt64(1),
            ["v1-plain-snappy-required", "v1-dictionary-none-optional", "v1-dictionary-zstd-required"]
        ),
        (
            ".parquet", 2,
            ["v2-plain-none-optional", "v2-dictionary-snappy-optional", "v2-plain-zstd-optional", "nested"]
        ),
        (".parquet", 5, ["messages-v1", "messages-v2", "messages-polars", "messages-item", "hadoop-lz4"]),
        (".jsonl.zst", 3, ["documents"]), (".jsonl.gz", 6, ["documents"]),
    ])
    func files(suffix: String, seed: UInt64, names: [String]) throws {
        let seeds = try names.map { try Fixtures.bytes($0 + suffix) }
        try Self.damage(seeds, seed: seed, suffix: suffix)
    }

    @Test func lines() throws {
        let text = "{\"a\":[1,{\"b\":null}],\"text\":\"one\\u00e9\\n\"}\n{\"text\":\"two 🦊\",\"c\":-1.5e3}\n"
        try Self.damage([Array(text.utf8)], seed: 4, suffix: ".jsonl")
    }

    private static func damage(_ seeds: [[UInt8]], seed: UInt64, suffix: String) throws {
        var generator = SplitMix64(seed: seed)
        let folder = try TemporaryFolder(inMemory: true)
        let path = "\(folder.path)/a\(suffix)"
        let chat = ConversationText(try Fixtures.chatTokenizer())
        var texts = 0
        for round in 0..<rounds {
            try Data(damaged(seeds[round % seeds.count], &generator)).write(to: URL(fileURLWithPath: path))
            var options = DataOptions.with { $0.maximumPieceBytes = 64 }
            if round % seeds.count == 3, suffix == ".parquet", seeds.count == 4 { options.textKey = "record.text" }
            do {
                _ = try ReadDocuments([path], options, chat: chat)
            } catch let error as DataError {
                #expect(!error.description.isEmpty)
            }
            options.onError = .skip
            do {
                let read = try ReadDocuments([path], options, chat: chat)
                texts += read.texts.count
                #expect(read.pieces.allSatisfy { String(validating: $0.text, as: UTF8.self) != nil })
            } catch let error as DataError {
                #expect(!error.isDamage)
            }
        }
        // Some damage lies in the text, or is passed over, so that the loop reaches beyond the headers.
        #expect(texts > rounds / 4)
    }

    private static func damaged(_ seed: [UInt8], _ generator: inout SplitMix64) -> [UInt8] {
        let interesting: [UInt64] = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF, .max >> 1, 1 << 63, .max]
        var bytes = seed
        for _ in 0...Int.random(in: 0...3, using: &generator) where !bytes.isEmpty {
            let place = Int.random(in: bytes.indices, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
            case 2: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...16, using: &generator)))
            case 3:
                bytes.insert(contentsOf: bytes[place...].prefix(Int.random(in: 1...16, using: &generator)), at: place)
            case 4:
                let width = [1, 2, 4, 8].randomElement(using: &generator) ?? 1
                let value = interesting.randomElement(using: &generator) ?? 0
                for offset in 0..<width where place + offset < bytes.count {
                    bytes[place + offset] = UInt8(truncatingIfNeeded: value >> UInt64(8 * offset))
                }
            default: bytes.swapAt(place, Int.random(in: bytes.indices, using: &generator))
            }
        }
        return bytes
    }
}
