import Checkpoints
import Testing

@Suite struct GGUFConfigurationTests {
    /// The metadata and embedding of a small Llama, changed by `change`; keys in `omitting` are left out.
    private func configuration(
        omitting: Set<String> = [], architecture: String = "llama", _ change: (inout GGUFBuilder) -> Void = { _ in }
    ) throws -> DecoderConfiguration {
        var builder = GGUFBuilder()
        builder.add("general.architecture", architecture)
        for (key, value) in [
            ("block_count", 1), ("context_length", 64), ("embedding_length", 8), ("feed_forward_length", 16),
            ("attention.head_count", 2), ("attention.head_count_kv", 1),
        ] as [(String, UInt32)] where !omitting.contains(key) {
            builder.add("llama." + key, value)
        }
        if !omitting.contains("attention.layer_norm_rms_epsilon") {
            let epsilon = littleEndian(Float(1e-5).bitPattern)
            builder.add("llama.attention.layer_norm_rms_epsilon", type: .float32, epsilon)
        }
        if !omitting.contains("token_embd") { builder.add(tensor: "token_embd.weight", [8, 4]) }
        builder.data = [UInt8](repeating: 0, count: 512)
        change(&builder)
        return try DecoderConfiguration(gguf: builder.open())
    }

    @Test func small() throws {
        let small = try configuration()
        #expect(
            small.vocabularySize == 4 && small.headDim == 4 && small.normEpsilon == 1e-5 && small.ropeTheta == 10_000)
        #expect(small.tiedEmbeddings && !small.attentionBias && !small.outputBias && small.ropeScaling == nil)
        #expect(small.bosTokens == [] && small.eosTokens == [] && small.padToken == nil)
        #expect(small.json["model_type"] == "llama" && small.json["rms_norm_eps"] == 1e-05)
    }

    @Test func tensorsThatDecide() throws {
        let untied = try configuration { $0.add(tensor: "output.weight", [8, 4], offset: 128) }
        #expect(!untied.tiedEmbeddings)
        let biased = try configuration { $0.add(tensor: "blk.0.attn_q.bias", [8], offset: 128) }
        #expect(biased.attentionBias && !biased.outputBias)
    }

    @Test(arguments: [
        "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
        "attention.layer_norm_rms_epsilon",
    ])
    func missingKeys(_ key: String) {
        do {
            _ = try configuration(omitting: [key])
            Issue.record("a file without \(key) is not refused")
        } catch CheckpointError.configuration("test.gguf", let named, _, "nothing") {
            #expect(named == "llama." + key)
        } catch { Issue.record("\(key): \(error)") }
    }

    @Test func missingEmbedding() {
        #expect(throws: CheckpointError.missingTensor(path: "test.gguf", name: "token_embd.weight")) {
            try configuration(omitting: ["token_embd"])
        }
    }

    @Test func linearScaling() throws {
        let linear = try configuration {
            $0.add("llama.rope.scaling.type", "linear")
            $0.add("llama.rope.scaling.factor", type: .float32, littleEndian(Float(4).bitPattern))
        }
        #expect(linear.ropeScaling == .linear(factor: 4))
    }

    @Test("an architecture is a mixture of experts or not, by the number of experts")
    func experts() throws {
        let mixtral = try configuration {
            $0.add("llama.expert_count", 8)
            $0.add("llama.expert_used_count", 2)
        }
        #expect(mixtral.modelType == "mixtral")
        #expect(mixtral.experts == ExpertMixture(count: 8, active: 2, width: 16, isNormalised: true))
        func message(_ architecture: String, _ change: (inout GGUFBuilder) -> Void) -> String {
            do {
                _ = try configuration(architecture: architecture, change)
                return "nothing"
            } catch { return "\(error)" }
        }
        #expect(
            message("qwen2") { $0.add("qwen2.expert_count", 8) }
                == "test.gguf: unsupported qwen2 with qwen2.expert_count 8; supported: dense models")
        #expect(
            message("qwen3moe") { _ in }
                == "test.gguf: unsupported qwen3moe with qwen3moe.expert_count 0; supported: mixtures of experts")
        #expect(
            message("llama") { $0.add("llama.expert_count", 8) }
                == "test.gguf: llama.expert_used_count: expected an integer, found nothing")
        #expect(
            message("llama") {
                $0.add("llama.expert_count", 4)
                $0.add("llama.expert_used_count", 5)
            } == "test.gguf: num_experts_per_tok: expected an integer from 1 to 4, found 5")
    }

    @Test func whatIsNotSupported() {
        let changes: [(inout GGUFBuilder) -> Void] = [
            { $0.add("llama.rope.scaling.type", "mrope") },
            {
                $0.add("llama.attention.key_length", 4)
                $0.add("llama.attention.value_length", 8)
            },
            {
                // Factors that are not Llama 3's.
                $0.add(tensor: "rope_freqs.weight", [2], offset: 128)
                $0.data.replaceSubrange(128..<136, with: [5.0, 3.0].flatMap { littleEndian(Float($0).bitPattern) })
            },
        ]
        for (index, change) in changes.enumerated() {
            do {
                _ = try configuration(change)
                Issue.record("change \(index) is not refused")
            } catch CheckpointError.unsupported("test.gguf", _, _, _) {
            } catch { Issue.record("change \(index): \(error)") }
        }
        do {
            _ = try configuration(architecture: "gemma")
            Issue.record("gemma is not refused")
        } catch {
            let expected = CheckpointError.unsupported(
                file: "test.gguf", what: "general.architecture", found: "gemma",
                supported:
                    "llama, qwen2, qwen3, qwen3moe, phi3, gemma2, gemma3, olmo2, smollm3, granite, starcoder2, gptneox, gpt2"
            )
            #expect(error as? CheckpointError == expected)
        }
    }
}
