import Checkpoints
import Foundation
import Models
import Support
import Tensors

/// Transformers with experts and random weights, wide enough for groups of 32 inputs and for a GPU's heads: D 64, 4 heads of
/// 16 in pairs, 2 layers with 4 experts of width 32, of which a token takes 2.
package enum ExpertModel: String, Sendable, CaseIterable {
    /// Mixtral, as transformers 4 and 5 write it.
    case mixtral
    /// Mixtral in the form of transformers 5's memory: gates and ups in one stack.
    case fused
    /// Qwen 3 with one MLP of width 96 in layer 0, experts in layer 1 and weights that are the softmax's.
    case qwen

    package var json: JSONObject {
        var json: JSONObject = [
            "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
            "num_hidden_layers": 2, "vocab_size": 2003, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
            "rope_theta": 10_000, "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2,
            "num_experts_per_tok": 2,
        ]
        switch self {
        case .mixtral, .fused:
            json["model_type"] = "mixtral"
            json["intermediate_size"] = 32
            json["num_local_experts"] = 4
        case .qwen:
            json["model_type"] = "qwen3_moe"
            json["intermediate_size"] = 96
            json["moe_intermediate_size"] = 32
            json["num_experts"] = 4
            json["mlp_only_layers"] = [0]
        }
        return json
    }

    /// The model, with the decoder's names, in bfloat16 but for vectors.
    package func parameters() throws -> (configuration: ModelConfiguration, parameters: [String: Tensor]) {
        let decoder = try DecoderConfiguration(json: .object(json), file: "config.json")
        let configuration = try ModelConfiguration(decoder)
        let tensors = try DecoderModel.rules(configuration).map { rule in
            let isMatrix = rule.shape.count > 1
            let weight = try Initialiser.normal(standardDeviation: isMatrix ? 0.2 : 0.1)
                .make(name: rule.name, shape: rule.shape, seed: 5)
            let tensor =
                isMatrix
                ? try weight.converted(to: .bfloat16)
                : try Tensor(weight.array(Float.self).map { 1 + $0 }, shape: rule.shape)
            return (rule.name, tensor)
        }
        return (configuration, Dictionary(uniqueKeysWithValues: tensors))
    }

    /// Writes config.json and model.safetensors, with the names of the family's files.
    package func write(
        to folder: String, configuration change: (inout JSONObject) -> Void = { _ in },
        tensors changeTensors: (inout [String: Tensor]) throws -> Void = { _ in }
    ) throws {
        var json = json
        change(&json)
        try Data(JSONValue.object(json).text().utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
        var tensors = try parameters().parameters
        if self == .fused { tensors = try Self.fused(tensors, layers: 2, experts: 4) }
        if self == .mixtral {
            tensors = Dictionary(uniqueKeysWithValues: tensors.map { (Self.mixtralName($0.key), $0.value) })
        }
        try changeTensors(&tensors)
        let all = tensors.sorted { $0.key < $1.key }
        let writer = try SafetensorsWriter(
            directory: folder, tensors: all.map { ($0.key, $0.value.shape, $0.value.dtype) })
        for (_, tensor) in all { try writer.append(tensor) }
        try writer.finish()
    }

    private static func mixtralName(_ name: String) -> String {
        guard name.contains(".mlp.") else { return name }
        return name.replacing(".mlp.", with: ".block_sparse_moe.").replacing(".gate_proj.", with: ".w1.")
            .replacing(".down_proj.", with: ".w2.").replacing(".up_proj.", with: ".w3.")
    }

    /// With stacks (E, 2F, D) of gates and ups, and (E, D, F).
    private static func fused(_ tensors: [String: Tensor], layers: Int, experts: Int) throws -> [String: Tensor] {
        var result = tensors.filter { !$0.key.contains(".experts.") }
        for layer in 0..<layers {
            let prefix = "model.layers.\(layer).mlp.experts"
            func stack(_ names: [String]) throws -> Tensor {
                let parts = try (0..<experts).flatMap { expert in
                    try names.map { name in
                        guard let tensor = tensors["\(prefix).\(expert).\(name).weight"] else {
                            throw CocoaError(.coderValueNotFound)
                        }
                        return tensor
                    }
                }
                let rows = parts.prefix(names.count).reduce(0) { $0 + $1.shape[0] }
                return try Tensor(
                    parts.flatMap { try $0.array(BFloat16.self) }, shape: [experts, rows, parts[0].shape[1]])
            }
            result["\(prefix).gate_up_proj"] = try stack(["gate_proj", "up_proj"])
            result["\(prefix).down_proj"] = try stack(["down_proj"])
        }
        return result
    }
}
