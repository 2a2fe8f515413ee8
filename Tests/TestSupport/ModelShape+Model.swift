import Checkpoints
import Foundation
import Models
import Support
import Tensors

extension ModelShape {
    /// What a layer mixes tokens with.
    package enum Mixer: String, Sendable, CaseIterable { case attention, slots }

    /// The configuration of a model of one layer.
    /// - Parameters:
    ///   - mixer: softmax attention, or Gated Slot Attention with `slots` a head.
    ///   - window: tokens of the mixer's window; nil for attention over all, or slots without one.
    ///   - kept: what is kept of softmax attention beside slots.
    package func configuration(
        _ mixer: Mixer = .attention, window: Int? = nil, slots: Int = 16, kept: SoftmaxAttention.Options? = nil
    ) throws -> ModelConfiguration {
        var configuration = try ModelConfiguration(DecoderConfiguration(json: .object(json()), file: "config.json"))
        configuration.decoder.slidingWindow = mixer == .attention ? window : nil
        if mixer == .slots {
            configuration.mixers = [GatedSlotAttention.name]
            configuration.mixerOptions = [
                GatedSlotAttention.name: ["slots": .integer(slots), "window": .integer(window ?? 0)]
            ]
            configuration.mixerOptions[SoftmaxAttention.name] = kept?.json
        }
        return configuration
    }

    private func json(layers: Int = 1) -> JSONObject {
        [
            "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": .integer(hidden),
            "num_attention_heads": .integer(heads), "num_key_value_heads": .integer(keyValueHeads),
            "head_dim": .integer(headDim), "intermediate_size": .integer(mlp), "num_hidden_layers": .integer(layers),
            "vocab_size": .integer(vocabulary), "rms_norm_eps": 1e-5, "rope_theta": 10_000.0,
            "tie_word_embeddings": true,
        ]
    }

    /// A model of one layer with random weights in bfloat16, the same ones every time.
    /// - Parameter positions: those that it says it was trained on.
    package func model(
        _ mixer: Mixer = .attention, window: Int? = nil, slots: Int = 16, kept: SoftmaxAttention.Options? = nil,
        positions: Int? = nil
    ) throws -> DecoderModel {
        var configuration = try configuration(mixer, window: window, slots: slots, kept: kept)
        if let positions { configuration.decoder.maximumPositions = positions }
        var parameters: [String: Tensor] = [:]
        for rule in try DecoderModel.rules(configuration) { parameters[rule.name] = try Self.parameter(rule) }
        return try DecoderModel(configuration, parameters: Parameters(parameters))
    }

    /// Writes the folder of such a Transformer, without a tokenizer.
    package func write(to folder: String, layers: Int = 1) throws {
        let json = JSONValue.object(json(layers: layers))
        let rules = try DecoderModel.rules(
            ModelConfiguration(DecoderConfiguration(json: json, file: "config.json")))
        try Data(json.text().utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
        let writer = try SafetensorsWriter(
            directory: folder, tensors: rules.map { ($0.name, $0.shape, $0.shape.count < 2 ? .float32 : .bfloat16) })
        for rule in rules { try writer.append(Self.parameter(rule)) }
        try writer.finish()
    }

    /// Vectors that a conversion adds are as it makes them, other vectors near 1, and matrices such that their outputs are
    /// of the size of their inputs.
    private static func parameter(_ rule: ParameterRule) throws -> Tensor {
        guard rule.shape.count == 2 else {
            if case .initialised(let initialiser) = rule.origin {
                return try initialiser.make(name: rule.name, shape: rule.shape, seed: 1)
            }
            let count = rule.shape.reduce(1, *)
            return try Tensor((0..<count).map { 1 + Float($0 % 7) / 50 }, shape: rule.shape)
        }
        // A block of random numbers over and over, for there are hundreds of millions: its length is a prime, so that rows
        // differ.
        let scale = (3 / Float(rule.shape[1])).squareRoot()
        let block = try Tensor(numbers(seed: rule.name).map { $0 * scale }, shape: [length]).converted(to: .bfloat16)
        return try Tensor(rule.shape, .bfloat16) { target in
            try block.withUnsafeBytes { block in
                for start in stride(from: 0, to: target.count, by: block.count) {
                    let count = min(block.count, target.count - start)
                    UnsafeMutableRawBufferPointer(rebasing: target[start..<start + count])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: block[..<count]))
                }
            }
        }
    }

    private static let length = 65_521

    /// Uniform in [-1, 1).
    private static func numbers(seed: String) -> [Float] {
        var state = seed.utf8.reduce(UInt64(14_695_981_039_346_656_037)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 } | 1
        return (0..<length).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Float(state >> 40) / Float(1 << 23) - 1
        }
    }
}
