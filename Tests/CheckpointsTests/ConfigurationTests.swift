import Checkpoints
import Support
import Testing

@Suite struct ConfigurationTests {
    private func configuration(_ name: String) throws -> DecoderConfiguration {
        let all = try JSONValue(file: fixture("configurations.json"))
        return try DecoderConfiguration(json: #require(all[name]), file: name)
    }

    @Test func llama() throws {
        let llama = try configuration("llama")
        #expect(llama.modelType == "llama" && llama.vocabularySize == 32000 && llama.hiddenSize == 4096)
        #expect(llama.layerCount == 32 && llama.headCount == 32 && llama.keyValueHeadCount == 32)
        #expect(llama.headDim == 128 && llama.intermediateSize == 11008 && llama.maximumPositions == 2048)
        #expect(llama.normEpsilon == 1e-6 && llama.ropeTheta == 10000 && llama.ropeScaling == nil)
        #expect(llama.slidingWindow == nil && llama.tiedEmbeddings)
        #expect(!llama.attentionBias && !llama.outputBias && !llama.mlpBias)
        #expect(llama.bosTokens == [] && llama.eosTokens == [2] && llama.padToken == nil)
        #expect(llama.json["initializer_range"] == 0.02)
    }

    @Test func ropeScaling() throws {
        let linear = try configuration("llama-linear")
        #expect(linear.ropeScaling == .linear(factor: 2) && linear.ropeTheta == 5000 && linear.keyValueHeadCount == 8)
        let legacy = try configuration("llama-3.2-legacy")
        #expect(legacy.ropeTheta == 500_000 && legacy.headDim == 64 && legacy.eosTokens == [128001, 128008, 128009])
        #expect(
            legacy.ropeScaling
                == .llama3(
                    factor: 32, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaximumPositions: 8192))
        let old = try changed { $0["rope_scaling"] = ["type": "linear", "factor": 4] }
        #expect(old.ropeScaling == .linear(factor: 4))
    }

    @Test func ropeDivisors() throws {
        let llama3 = RopeScaling.llama3(
            factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaximumPositions: 8192)
        let divisors = llama3.divisors(headDim: 16, theta: 10000)
        let file = try GGUFCheckpoint(path: fixture("llama.gguf"))
        #expect(file.description(of: "rope_freqs.weight") == nil)
        #expect(divisors.first == 1 && divisors.last == 8)
        #expect(divisors.contains { $0 > 1 && $0 < 8 })
        #expect(RopeScaling.linear(factor: 3).divisors(headDim: 4, theta: 10000) == [3, 3])
    }

    @Test func mistral() throws {
        let mistral = try configuration("mistral")
        #expect(mistral.modelType == "mistral" && mistral.slidingWindow == 4096 && mistral.keyValueHeadCount == 8)
        #expect(mistral.maximumPositions == 131_072 && mistral.intermediateSize == 14336)
        let open = try configuration("mistral-no-window")
        #expect(open.slidingWindow == nil && open.headDim == 64)
        for wrong in [0, -1, true] as [JSONValue] {
            #expect(throws: CheckpointError.self) {
                try changed {
                    $0["model_type"] = "mistral"
                    $0["sliding_window"] = wrong
                }
            }
        }
        // Llama has no such key in transformers, whatever it says.
        #expect(try changed { $0["sliding_window"] = 8 }.slidingWindow == nil)
    }

    @Test func flashLinearAttention() throws {
        let gsa = try configuration("gsa")
        #expect(gsa.modelType == "gsa" && gsa.headCount == 9 && gsa.keyValueHeadCount == 3 && gsa.headDim == 64)
        #expect(gsa.intermediateSize == 1536 && gsa.layerCount == 30 && !gsa.tiedEmbeddings && gsa.normEpsilon == 1e-6)
        #expect(gsa.json["num_slots"] == 64)
        let explicit = try configuration("gsa-explicit")
        #expect(explicit.intermediateSize == 512 && explicit.keyValueHeadCount == 4 && explicit.tiedEmbeddings)
    }

    @Test func moult() throws {
        let moult = try changed {
            $0["model_type"] = "moult"
            $0["moult"] = ["version": 3, "layers": ["gsa", "attention"]]
        }
        #expect(moult.modelType == "moult" && moult.json["moult"]?["layers"] == ["gsa", "attention"])
    }

    private static let minimal: JSONObject = JSONObject([
        ("model_type", "llama"), ("vocab_size", 100), ("hidden_size", 64), ("intermediate_size", 128),
        ("num_hidden_layers", 2), ("num_attention_heads", 4),
    ])

    private func changed(_ change: (inout JSONObject) -> Void) throws -> DecoderConfiguration {
        var json = Self.minimal
        change(&json)
        return try DecoderConfiguration(json: .object(json), file: "config.json")
    }

    @Test func defaults() throws {
        let minimal = try changed { _ in }
        #expect(minimal.keyValueHeadCount == 4 && minimal.headDim == 16 && minimal.maximumPositions == 2048)
        #expect(minimal.bosTokens == [1] && minimal.eosTokens == [2] && minimal.padToken == nil)
        #expect(try changed { $0["head_dim"] = .null }.headDim == 16)
        #expect(try changed { $0["pad_token_id"] = -1 }.padToken == nil)
        #expect(try changed { $0["attention_bias"] = true }.outputBias)
    }

    @Test(arguments: ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"])
    func requiredKeys(_ key: String) throws {
        for (value, found) in [
            (nil, "nothing"), (.null, "null"), (0, "0"), (-4, "-4"), ("64", "\"64\""), (64.5, "64.5"), (true, "true"),
            (.integer(.max), "9223372036854775807"), ([64], "an array of 1"), (1e300, "1e+300"),
        ] as [(JSONValue?, String)] {
            do {
                _ = try changed { $0[key] = value }
                Issue.record("\(key) \(found) is not refused")
            } catch CheckpointError.configuration("config.json", key, _, let stated) {
                #expect(stated == found)
            }
        }
    }

    @Test func headsThatDoNotDivide() {
        let width = CheckpointError.configuration(
            file: "config.json", key: "num_attention_heads", expected: "a divisor of hidden_size (64), or head_dim",
            found: "5")
        #expect(throws: width) { try changed { $0["num_attention_heads"] = 5 } }
        let group = CheckpointError.configuration(
            file: "config.json", key: "num_key_value_heads", expected: "a divisor of num_attention_heads (4)",
            found: "3")
        #expect(throws: group) { try changed { $0["num_key_value_heads"] = 3 } }
        #expect(throws: Never.self) {
            try changed {
                $0["num_attention_heads"] = 5
                $0["head_dim"] = 16
            }
        }
    }

    @Test(
        arguments: [
            ("num_key_value_heads", 0), ("num_key_value_heads", "2"), ("head_dim", 15), ("head_dim", 0),
            ("head_dim", 1_000_000_000_000),
            ("rms_norm_eps", 0), ("rms_norm_eps", -1), ("rms_norm_eps", "1e-5"), ("rms_norm_eps", 2), ("rope_theta", 0),
            ("rope_theta", 1e300), ("rope_theta", "x"),
            ("max_position_embeddings", 0), ("tie_word_embeddings", 1), ("attention_bias", "yes"), ("mlp_bias", []),
            ("bos_token_id", "1"), ("eos_token_id", [2, 2.5]), ("eos_token_id", true), ("pad_token_id", "x"),
            ("rope_scaling", 3), ("rope_scaling", ["rope_type": "linear"]),
            ("rope_scaling", ["rope_type": "linear", "factor": 0]),
            ("rope_scaling", ["rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4]),
            ("rope_parameters", ["rope_theta": -1]), ("hidden_act", 1),
        ] as [(String, JSONValue)])
    func wrongValues(_ key: String, _ value: JSONValue) {
        do {
            _ = try changed { $0[key] = value }
            Issue.record("\(key): \(value.summary) is not refused")
        } catch CheckpointError.configuration("config.json", let named, _, _) {
            #expect(named.hasPrefix(key))
        } catch { Issue.record("\(key): \(error)") }
    }

    @Test(
        arguments: [
            ("model_type", "mamba"), ("model_type", nil), ("hidden_act", "relu"), ("partial_rotary_factor", 0.5),
            ("rope_scaling", ["type": "mrope"]), ("quantization_config", ["quant_method": "gptq"]),
        ] as [(String, JSONValue?)])
    func unsupported(_ key: String, _ value: JSONValue?) {
        do {
            _ = try changed { $0[key] = value }
            Issue.record("\(key) is not refused")
        } catch CheckpointError.unsupported("config.json", _, _, _) {
        } catch { Issue.record("\(key): \(error)") }
    }

    @Test func notAnObject() {
        #expect(throws: CheckpointError.self) { try DecoderConfiguration(json: [1], file: "config.json") }
    }
}
