import Checkpoints
import Foundation
import Support
import Tensors
import Testing

/// Seeded damage to sound files: whatever the bytes, a loader gives tensors or throws a CheckpointError, and never traps.
@Suite struct MutationTests {
    private static let rounds = 30_000

    @Test func safetensors() throws {
        let opened = try Self.damage([Self.smallSafetensors()], seed: 1) { bytes in
            try Self.loadAll(SafetensorsCheckpoint(contents: bytes, path: "mutated"))
        }
        // Some damage lies in data, so that the loop reaches beyond the header.
        #expect(opened > Self.rounds / 100)
    }

    @Test func gguf() throws {
        let opened = try Self.damage([Self.smallGGUF()], seed: 2) { bytes in
            let checkpoint = try GGUFCheckpoint(contents: bytes, path: "mutated")
            _ = try? GGUFTokenizer(checkpoint.metadata)
            _ = try? DecoderConfiguration(gguf: checkpoint)
            try Self.loadAll(checkpoint)
        }
        #expect(opened > Self.rounds / 100)
    }

    @Test func configurations() throws {
        let all = try #require(JSONValue(file: fixture("configurations.json")).objectValue)
        let seeds = all.pairs.map { Array($0.value.text(indented: true).utf8) }
        let opened = try Self.damage(seeds, seed: 3) { bytes in
            let configuration = try DecoderConfiguration(
                json: JSONValue(parsing: bytes, file: "mutated"), file: "mutated")
            _ = configuration.ropeScaling?.divisors(headDim: configuration.headDim, theta: configuration.ropeTheta)
        }
        #expect(opened > Self.rounds / 100)
    }

    private static func loadAll(_ checkpoint: some Checkpoint) throws {
        for tensor in checkpoint.tensors {
            for dtype in [nil, .float32, .bfloat16] as [DType?] {
                do {
                    let loaded = try checkpoint.load(tensor.name, as: dtype)
                    // Reads every byte.
                    _ = try loaded.withUnsafeBytes { $0.reduce(0) { $0 ^ $1 } }
                    _ = try loaded.nonFiniteCounts()
                } catch is CheckpointError {}
            }
        }
    }

    /// Runs `body` on damaged seeds and returns how often it did not throw. Errors of other types are passed on.
    private static func damage(_ seeds: [[UInt8]], seed: UInt64, _ body: ([UInt8]) throws -> Void) throws -> Int {
        var generator = SplitMix64(seed: seed), succeeded = 0
        for round in 0..<rounds {
            let bytes = damaged(seeds[round % seeds.count], &generator)
            do {
                try body(bytes)
                succeeded += 1
            } catch let error as CheckpointError {
                #expect(!error.description.isEmpty)
            }
        }
        return succeeded
    }

    private static func damaged(_ seed: [UInt8], _ generator: inout SplitMix64) -> [UInt8] {
        let interesting: [UInt64] = [0, 1, 0x7F, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 32, .max >> 1, 1 << 63, .max]
        var bytes = seed
        for _ in 0...Int.random(in: 0...3, using: &generator) where !bytes.isEmpty {
            let place = Int.random(in: bytes.indices, using: &generator)
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
            case 2: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...16, using: &generator)))
            case 3:
                bytes.insert(contentsOf: bytes[place...].prefix(Int.random(in: 1...16, using: &generator)), at: place)
            case 4: bytes.removeLast(Int.random(in: 1...bytes.count, using: &generator) / 8)
            case 5:
                let width = [1, 2, 4, 8].randomElement(using: &generator) ?? 1
                let value = littleEndian(interesting.randomElement(using: &generator) ?? 0).prefix(width)
                for (offset, byte) in value.enumerated() where place + offset < bytes.count {
                    bytes[place + offset] = byte
                }
            case 6: bytes[place] = UInt8.random(in: 0x30...0x39, using: &generator)
            default:
                let other = Int.random(in: bytes.indices, using: &generator)
                bytes.swapAt(place, other)
            }
        }
        return bytes
    }

    private static func smallSafetensors() throws -> [UInt8] {
        try withTemporaryFolder { folder in
            let tensors: [(String, Tensor)] = [
                ("a", try Tensor([Float](repeating: 1, count: 6), shape: [2, 3])),
                ("b", try Tensor([BFloat16](repeating: BFloat16(2), count: 4), shape: [4])),
                ("c", try Tensor([true, false], shape: [2])), ("d", try Tensor([1.0, 2.0], shape: [2, 1])),
                ("e", try Tensor([Int32(1)], shape: [])),
            ]
            let writer = try SafetensorsWriter(
                directory: folder, tensors: tensors.map { ($0.0, $0.1.shape, $0.1.dtype) }, metadata: ["format": "pt"])
            for (_, tensor) in tensors { try writer.append(tensor) }
            try writer.finish()
            return try [UInt8](Data(contentsOf: URL(fileURLWithPath: folder + "/model.safetensors")))
        }
    }

    /// A Llama of one layer with blocks of several types, a small tokenizer and RoPE factors.
    private static func smallGGUF() throws -> [UInt8] {
        var builder = GGUFBuilder()
        builder.add("general.architecture", "llama")
        for (key, value) in [
            ("block_count", 1), ("context_length", 64), ("embedding_length", 32), ("feed_forward_length", 32),
            ("attention.head_count", 2), ("attention.head_count_kv", 1), ("rope.dimension_count", 4),
        ] as [(String, UInt32)] {
            builder.add("llama." + key, value)
        }
        let epsilon = littleEndian(Float(1e-5).bitPattern)
        builder.add("llama.attention.layer_norm_rms_epsilon", type: .float32, epsilon)
        builder.add("tokenizer.ggml.model", "gpt2")
        builder.add(
            "tokenizer.ggml.tokens", type: .array,
            littleEndian(GGUFType.string.rawValue) + littleEndian(UInt64(2)) + GGUFBuilder.string("a")
                + GGUFBuilder.string("b"))
        builder.add(
            "tokenizer.ggml.token_type", type: .array,
            littleEndian(GGUFType.int32.rawValue) + littleEndian(UInt64(2)) + littleEndian(Int32(1))
                + littleEndian(Int32(1)))
        builder.add("tokenizer.ggml.bos_token_id", 1)
        for (name, extents, type) in [
            ("token_embd.weight", [32, 2], 8), ("blk.0.attn_q.weight", [32, 8], 2),
            ("blk.0.attn_k.weight", [32, 4], 0),
            ("blk.0.attn_q.bias", [8], 1), ("blk.0.ffn_up.weight", [256, 1], 14), ("rope_freqs.weight", [2], 0),
            ("blk.0.ffn_gate.weight", [256, 1], 11), ("output_norm.weight", [32], 30),
        ] as [(String, [UInt64], UInt32)] {
            builder.add(tensor: name, extents, type: type, offset: UInt64(builder.data.count))
            // Large enough for any of the types.
            builder.data += [UInt8](repeating: 0x3C, count: 544)
        }
        let bytes = builder.bytes
        #expect(throws: Never.self) {
            try GGUFCheckpoint(contents: bytes, path: "sound").load("model.embed_tokens.weight")
        }
        return bytes
    }
}
