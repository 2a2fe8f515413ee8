import Checkpoints
import Models
import Support
import Tensors
import TestSupport
import Testing

extension CUDATests {
    @Suite("Decoding on a GPU") struct DecodingTests {
        /// Small models of random parameters, whose heads are 16 wide in groups of two.
        enum Kind: String, CaseIterable, Sendable {
            case attention, slidingWindow, slots, slotsWithWindow, hybrid
            /// With sinks and a kept head, beyond what the source was trained on at the last steps.
            case keptHeads
            /// Kept heads, or a whole layer, with positions that are not the source's, beyond what it was trained on.
            case scaledHeads, scaledLayer, layerWithoutPositions
            /// A mixer that makes its state anew, in one layer with a kept head.
            case ownMixer

            var positions: AttentionPositions? {
                switch self {
                case .scaledHeads: .init(divisor: 2, hasLogScale: true)
                case .scaledLayer: .init(divisor: 2.5)
                case .layerWithoutPositions: .init(divisor: nil, hasLogScale: true)
                default: nil
                }
            }
        }

        func model(_ kind: Kind, layers: Int = 2) throws -> DecoderModel {
            let json: JSONObject = [
                "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 48,
                "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 64,
                "num_hidden_layers": .integer(layers), "vocab_size": 72, "rms_norm_eps": 1e-5,
                "tie_word_embeddings": true,
                "attention_bias": true,
            ]
            var configuration = try ModelConfiguration(DecoderConfiguration(json: .object(json), file: "config.json"))
            try MixerRegistry.register(AveragingMemory.self)
            let window = [.slotsWithWindow, .hybrid, .keptHeads, .scaledHeads].contains(kind) ? 8 : 0
            configuration.mixerOptions = ["gsa": ["slots": 4, "window": .integer(window)]]
            switch kind {
            case .attention: break
            case .slidingWindow: configuration.decoder.slidingWindow = 8
            case .slots, .slotsWithWindow: configuration.mixers = .init(repeating: "gsa", count: layers)
            case .hybrid: configuration.mixers = ["attention", "gsa"]
            case .keptHeads:
                configuration.mixers = ["gsa", "gsa"]
                configuration.mixerOptions["attention"] = ["sinks": 3, "window": 9, "heads": ["1": [0]]]
                configuration.decoder.maximumPositions = 36
            case .ownMixer:
                configuration.mixers = ["averaging", "averaging"]
                configuration.mixerOptions["averaging"] = ["window": 6]
                configuration.mixerOptions["attention"] = ["sinks": 2, "window": 9, "heads": ["1": [0]]]
            case .scaledHeads, .scaledLayer, .layerWithoutPositions:
                configuration.mixers = [kind == .scaledHeads ? "gsa" : "attention", "gsa"]
                configuration.mixerOptions["attention"] =
                    SoftmaxAttention.Options(
                        window: kind == .layerWithoutPositions ? nil : 15, sinks: 3,
                        heads: kind == .scaledHeads ? [1: HeadSet([0])] : [:], positions: kind.positions ?? .source
                    ).json
                configuration.decoder.maximumPositions = 10
            }
            var random = Random(3)
            var tensors: [String: Tensor] = [:]
            for rule in try DecoderModel.rules(configuration) {
                tensors[rule.name] = try random.tensor(rule.shape, scale: rule.shape.count == 1 ? 1 : 0.3)
            }
            return try DecoderModel(configuration, parameters: Parameters(tensors))
        }

        func sequences(_ rows: Int, _ count: Int) -> [[Int32]] {
            var random = Random(11)
            return (0..<rows).map { _ in (0..<count).map { _ in Int32(36 + 36 * random.float()) } }
        }

        /// Segments and steps in turn, the first step after each by hand, the others from a recording.
        @Test(arguments: Kind.allCases, [1, 3]) func steps(kind: Kind, rows: Int) throws {
            let host = try model(kind)
            let device = try host.to(.cuda)
            // The last steps of some are beyond what the source was trained on and what the windows reach.
            let start = [.keptHeads, .scaledHeads, .scaledLayer].contains(kind) ? 110 : 0
            let tokens = sequences(rows, start + 40)
            let together = try Together(device, reading: tokens.map { _ in [] })
            var found: [Tensor] = []
            func read(_ range: Range<Int>) throws {
                let parts = try zip(tokens, together.states).map {
                    try device.logits([Array($0[range])], state: $1).array(Float.self)
                }
                found.append(try Tensor(parts.flatMap { $0 }, shape: [rows, range.count, 72]))
            }
            func decode(_ range: Range<Int>) throws {
                for index in range {
                    try together.read(tokens.map { $0[index] })
                    found.append(try together.logits().reshaped([rows, 1, 72]))
                }
            }
            try read(0..<start + 11)
            try decode(start + 11..<start + 19)
            // What a fork reads does not reach the state.
            for (tokens, state) in zip(tokens, together.states) {
                _ = try device.nextLogits(Array(tokens[..<3]), state: state.copy())
            }
            try decode(start + 19..<start + 23)
            try read(start + 23..<start + 33)
            try decode(start + 33..<start + 40)
            #expect(together.states.allSatisfy { $0.position == start + 40 })
            let steps = try joined(found, rows: rows)
            try expectClose(steps, device.logits(tokens), 0.05, "\(kind), \(rows) rows, steps and the parallel form")
            try expectClose(steps, host.logits(tokens), 0.1, "\(kind), \(rows) rows, GPU and processor")
        }

        /// What is saved goes on as it would have, also where a ring is full, and the one that was saved is not disturbed.
        @Test(arguments: Kind.allCases, [5, 40]) func saved(kind: Kind, count: Int) throws {
            let device = try model(kind).to(.cuda)
            let tokens = sequences(1, count + 12)[0]
            let own = try Together(device, reading: [Array(tokens[..<(count - 4)])]), state = own.states[0]
            for token in tokens[(count - 4)..<count] { try own.read([token]) }
            let snapshot = try state.snapshot()
            let restored = try device.makeState(from: snapshot), fork = try state.copy()
            #expect(restored.position == count)
            #expect(try snapshot.tensors.map(\.name) == model(kind).makeState().snapshot().tensors.map(\.name))
            let others = try [restored, fork].map { try Together(device, [$0]) }
            for token in tokens[count...] {
                try own.read([token])
                let expected = try own.logits().array(Float.self)
                for other in others {
                    try other.read([token])
                    #expect(try other.logits().array(Float.self) == expected, "\(kind) after \(count)")
                }
            }
            // All of the state is what the processor's is.
            let host = try model(kind), expected = try host.makeState()
            _ = try host.logits([tokens], state: expected)
            for (own, other) in try zip(restored.snapshot().tensors, expected.snapshot().tensors) {
                try expectClose(own.value, other.value, 0.1, "\(own.name)")
            }
        }

        /// The logits (R, T, V) of parts of the tokens one after the other.
        private func joined(_ parts: [Tensor], rows: Int) throws -> Tensor {
            var values = [[Float]](repeating: [], count: rows)
            for part in parts {
                let all = try part.array(Float.self)
                for row in 0..<rows { values[row] += all[row * all.count / rows..<(row + 1) * all.count / rows] }
            }
            return try Tensor(values.flatMap { $0 }, shape: [rows, values[0].count / 72, 72])
        }

        /// Picking on the GPU does what picking by logits does.
        @Test(arguments: [0, 1019], [Kind.hybrid, .scaledHeads]) func greedy(depth: Int, kind: Kind) throws {
            let device = try model(kind).to(.cuda)
            let (tokens, first) = (sequences(2, depth), [Int32](repeating: 5, count: 2))
            let own = try Together(device, reading: tokens)
            let all = try own.generate(12, after: first)
            #expect(own.states.allSatisfy { $0.position == depth + 12 })
            let other = try Together(device, reading: tokens)
            var (last, expected) = (first, [[Int32]](repeating: [], count: 2))
            for _ in 0..<12 {
                try other.read(last)
                last = try other.logits().indicesOfLargest().array(Int32.self)
                for row in 0..<2 { expected[row].append(last[row]) }
            }
            #expect(all == expected)
            let whole = try device.logits(zip(tokens, all).map { $0 + [5] + $1.dropLast() }).rows(0..<1)
            try expectClose(
                whole.reshaped([depth + 12, 72]).rows(depth + 11..<depth + 12), own.logits().rows(0..<1), 0.05,
                "logits after \(depth + 12) tokens")
        }
    }
}
