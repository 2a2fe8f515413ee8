import Checkpoints
import Foundation
import Models
import Support
import Tensors

/// A fixture of a source family with heads of 16 dimensions, which a GPU's kernels take, and random weights in tensors as
/// the family's files have them.
package struct FamilyShape {
    private static let headDim = 16
    private let fixture: ModelFiles
    private let json: JSONObject

    /// All fixtures of Tools/fixtures/families.py whose families are known, but for gemma3: its seven layers have what the
    /// two of gemma3-pattern have, and round more.
    package static let names = [
        "qwen2", "qwen2-window", "qwen3", "qwen3-biases-window", "phi3", "phi3-window", "phi3-longrope", "gemma2",
        "gemma2-scale", "gemma3-pattern", "olmo2", "olmo2-biases", "smollm3", "smollm3-window", "granite",
        "granite-biases", "starcoder2", "starcoder2-window", "gpt_neox", "gpt_neox-sequential", "gpt2", "gpt2-scale",
    ]

    /// The folder of the fixture `name`.
    package static func path(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../ModelsTests/Fixtures/families/\(name)").standardized.path
    }

    /// - Parameter vocabulary: its tokens; nil for as many as the fixture has.
    package init(_ name: String, vocabulary: Int? = nil) throws {
        let folder = Self.path(name)
        fixture = try ModelFiles.open(folder)
        var json = try JSONValue(file: "\(folder)/config.json").objectValue ?? [:]
        let isGPT2 = json["n_embd"] != nil
        let heads = json[isGPT2 ? "n_head" : "num_attention_heads"]?.integerValue ?? 1
        json[isGPT2 ? "n_embd" : "hidden_size"] = .integer(heads * Self.headDim)
        if json["head_dim"] != nil { json["head_dim"] = .integer(Self.headDim) }
        if let vocabulary { json["vocab_size"] = .integer(vocabulary) }
        var rope = json["rope_parameters"]?.objectValue ?? [:]
        for key in ["short_factor", "long_factor"] {
            guard let factors = rope[key]?.arrayValue else { continue }
            let times = Self.headDim / 2 / factors.count
            rope[key] = .array(factors.flatMap { [JSONValue](repeating: $0, count: times) })
            json["rope_parameters"] = .object(rope)
        }
        self.json = json
    }

    /// Writes the folder, without a tokenizer.
    package func write(to folder: String) throws {
        try Data(JSONValue.object(json).text().utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
        let tensors = try tensors()
        let writer = try SafetensorsWriter(directory: folder, tensors: tensors.map { ($0.name, $0.shape, .float32) })
        for (name, shape, shift) in tensors {
            var generator = SplitMix64(seed: 5, stream: name)
            let isWeight = shape.count == 2 || name.hasSuffix(".bias")
            let scale: Float = shape.count == 2 ? (3 / Float(shape[1])).squareRoot() : 0.2
            let values = (0..<shape.reduce(1, *)).map { _ in
                (isWeight ? 0 : 1 - shift) + Float.random(in: -scale...scale, using: &generator)
            }
            // Numbers that bfloat16 holds too.
            try writer.append(Tensor(values, shape: shape).converted(to: .bfloat16).converted(to: .float32))
        }
        try writer.finish()
    }

    /// The files' tensors: each as large as it takes to make the decoder's of it, and what is added to it.
    private func tensors() throws -> [(name: String, shape: [Int], shift: Float)] {
        let decoder = try DecoderConfiguration(json: .object(json), file: "config.json")
        let rules = try DecoderModel.rules(ModelConfiguration(decoder))
        var tensors: [(name: String, shape: [Int], shift: Float)] = []
        for rule in rules {
            let recipe = (fixture.checkpoint as? DerivedCheckpoint)?.recipe(of: rule.name) ?? .stored(rule.name)
            let (name, place) = (recipe.source, tensors.firstIndex { $0.name == recipe.source })
            let shape = recipe.isTransposed ? rule.shape.reversed() : rule.shape
            if let place {
                // Another part of the rows, which are columns where they lie so.
                tensors[place].shape[recipe.isTransposed ? 1 : 0] += rule.shape[0]
            } else {
                tensors.append((name, shape, recipe.shift))
            }
        }
        return tensors
    }
}

extension TensorRecipe {
    fileprivate var isTransposed: Bool {
        switch self {
        case .stored: false
        case .transposed: true
        case .rows(let part, _), .member(let part, _), .scaled(let part, _, _), .softmaxSum(let part, _):
            part.isTransposed
        }
    }

    /// What is added to what the file holds.
    fileprivate var shift: Float {
        switch self {
        case .stored: 0
        case .rows(let part, _), .member(let part, _), .transposed(let part): part.shift
        case .scaled(let part, let scale, let shift): part.shift * scale + shift
        case .softmaxSum: 0
        }
    }
}
