import Checkpoints
import Foundation
import Models
import Support
import Tensors
import TestSupport
import Testing

@Suite("Models with experts")
struct ExpertModelTests {
    static let fixtures = ["mixtral", "mixtral-window", "qwen3_moe", "qwen3_moe-dense"]
        .map { Fixture(name: "families/\($0)") }
    private static let sequence = (0..<40).map { Int32($0 * 29 % 50) }

    // MARK: Configuration

    @Test("what their configurations say")
    func configurations() throws {
        let expected = [
            ExpertMixture(count: 4, active: 2, width: 16, isNormalised: true),
            ExpertMixture(count: 3, active: 2, width: 12, isNormalised: true),
            ExpertMixture(count: 4, active: 2, width: 12, isNormalised: true),
            ExpertMixture(count: 4, active: 2, width: 12, isNormalised: false, denseLayers: [0, 2, 3]),
        ]
        // Of 2 layers 2, 2, 2; of 4 layers 1: idle experts · 3 · width · 16.
        let idle = [3072, 1152, 2304, 1152]
        for (place, fixture) in Self.fixtures.enumerated() {
            let decoder = try ModelFiles.open(fixture.path).configuration
            #expect(decoder.experts == expected[place])
            #expect(decoder.idleParameters == idle[place])
            let json = JSONValue.object(["decoder": .object(decoder.beyondLlama)]).text()
            #expect(json.contains(#""experts":{"count":\#(expected[place].count),"active":2"#), "\(json)")
        }
        #expect(try ModelFiles.open(Self.fixtures[3].path).configuration.expertLayers == [1])
    }

    @Test("without layers that have some, Qwen 3 MoE is Qwen 3", arguments: ["num_experts", "mlp_only_layers"])
    func noExperts(_ key: String) throws {
        var json = ExpertModel.qwen.json
        json[key] = key == "num_experts" ? 0 : [0, 1]
        let decoder = try DecoderConfiguration(json: .object(json), file: "config.json")
        #expect(decoder.experts == nil && decoder.idleParameters == 0)
    }

    // MARK: Files

    @Test("stacks of transformers 5's memory are the model")
    func fused() throws {
        let (apart, stacked) = (try TemporaryFolder(inMemory: true), try TemporaryFolder(inMemory: true))
        try ExpertModel.mixtral.write(to: apart.path)
        try ExpertModel.fused.write(to: stacked.path)
        let expected = try DecoderModel.load(apart.path).logits([Self.sequence]).array(Float.self)
        let found = try DecoderModel.load(stacked.path).logits([Self.sequence]).array(Float.self)
        #expect(expected == found && expected.allSatisfy(\.isFinite))
        let checkpoint = try #require(try ModelFiles.open(stacked.path).checkpoint as? DerivedCheckpoint)
        let recipe = checkpoint.recipe(of: "model.layers.1.mlp.experts.3.up_proj.weight")
        #expect(recipe?.summary == "rows 32 to 63 of number 3 of model.layers.1.mlp.experts.gate_up_proj")
    }

    @Test("a contradiction is one line that says what", arguments: ["mixtral", "qwen", "fused"])
    func contradictions(_ name: String) throws {
        let model = try #require(ExpertModel(rawValue: name))
        let count = name == "qwen" ? "num_experts" : "num_local_experts"
        func message(
            _ change: @escaping (inout JSONObject) -> Void,
            _ tensors: (inout [String: Tensor]) throws -> Void = { _ in }
        ) throws -> String {
            let folder = try TemporaryFolder(inMemory: true)
            try model.write(to: folder.path, configuration: change, tensors: tensors)
            let error = #expect(throws: (any Error).self) { try DecoderModel.load(folder.path) }
            let text = error.map { "\($0)" } ?? ""
            #expect(!text.contains("\n"))
            return text.replacing(folder.path, with: "MODEL")
        }
        for other in [3, 6] {
            #expect(
                try message { $0[count] = .integer(other) }
                    == "MODEL: tensor 'model.layers.\(name == "qwen" ? 1 : 0).mlp.gate.weight' has shape [4, 64], "
                    + "expected [\(other), 64] from config.json")
        }
        #expect(
            try message { $0["num_experts_per_tok"] = 5 }
                == "MODEL/config.json: num_experts_per_tok: expected an integer from 1 to 4, found 5")
        #expect(
            try message { $0[count] = 4096 }
                == "MODEL/config.json: \(count): expected an integer from 1 to 1024, found 4096")
        #expect(
            try message { $0[count] = -1 }
                == "MODEL/config.json: \(count): expected an integer from 1 to 1024, found -1")
        guard name != "fused" else {
            let width = try message { $0["intermediate_size"] = 24 }
            #expect(
                width == "MODEL: tensor 'model.layers.0.mlp.experts.0.gate_proj.weight' is missing; the file does not "
                    + "match its config.json")
            return
        }
        let part = name == "qwen" ? "mlp.experts.2.up_proj" : "block_sparse_moe.experts.2.w3"
        #expect(
            try message({ _ in }, { $0["model.layers.1.\(part).weight"] = nil })
                == "MODEL: tensor 'model.layers.1.mlp.experts.2.up_proj.weight' is missing; the file does not match its "
                + "config.json")
        let wide = try message { $0[name == "qwen" ? "moe_intermediate_size" : "intermediate_size"] = 64 }
        #expect(wide.hasSuffix("gate_proj.weight' has shape [32, 64], expected [64, 64] from config.json"), "\(wide)")
    }

    @Test("experts that a norm follows are refused, and more than files hold")
    func refused() throws {
        var configuration = try ExpertModel.mixtral.parameters().configuration
        configuration.decoder.normPlacement = .around
        #expect(
            throws: ModelError.configuration(
                key: "moult.decoder.experts", expected: "experts with a gate, and no norm of what they give",
                found: "norms around them")
        ) { try DecoderModel.rules(configuration) }
        var json = ExpertModel.mixtral.json
        (json["num_hidden_layers"], json["num_local_experts"]) = (4096, 1024)
        #expect(throws: CheckpointError.self) { try DecoderConfiguration(json: .object(json), file: "config.json") }
    }

    // MARK: Gradients

    /// Those of all parameters are compared with torch's in ``GradientTests``.
    @Test("what no token takes has gradients of nothing, as in torch", arguments: fixtures)
    func idle(_ fixture: Fixture) throws {
        let gradients = GradientFixture(name: fixture.name)
        let tokens = try fixture.expected().tokens
        let idle = try gradients.expected().gradients.filter { $0.value.allSatisfy { $0 == 0 } }.keys
        let (configuration, parameters) = try gradients.parameters()
        for layers in 0...2 {
            let found = try GradientFixture.Watched(configuration, parameters).gradients { model, tape in
                try meanCrossEntropy(
                    model, tokens, recomputation: layers == 0 ? nil : Recomputation(tape, layers: layers))
            }
            for name in idle { #expect(found[name]?.allSatisfy { $0 == 0 } == true, "\(name)") }
        }
    }

    // MARK: Rounded

    @Test(
        "steps of rounded experts are whole rows", arguments: [ExpertModel.mixtral, .qwen], [DType.q8, .q4, .bfloat16])
    func rounded(_ model: ExpertModel, _ type: DType) throws {
        let (configuration, tensors) = try model.parameters()
        let parameters = try tensors.mapValues { tensor in
            tensor.rank == 2 && tensor.shape[0] != 4 && type.isQuantised
                ? try tensor.quantised(to: type).tensor : tensor
        }
        let decoder = try DecoderModel(configuration, parameters: Parameters(parameters))
        let whole = try decoder.logits([Self.sequence]).array(Float.self)
        let step = try DecoderStep(decoder, capacity: 3)
        let states = try (0..<3).map { _ in try decoder.makeState() }
        var found: [Float] = []
        for token in Self.sequence {
            try step.read([token, token, token], states: states)
            found += step.withLogits(of: 2) { Array($0) }
        }
        // A last bit of an activation may round to another code, and that take another expert.
        let errors = rowErrors(found, whole, width: whole.count / Self.sequence.count)
        #expect(errors[errors.count * 3 / 4] < 3e-2, "\(errors)")
    }
}
