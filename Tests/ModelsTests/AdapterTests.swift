import Models
import Tensors
import TestSupport
import Testing

@Suite("Low-rank adapters beside the maps of whole models")
struct AdapterTests {
    /// Llama, conversions with other mixers, biases, MLPs without a gate, norms after the maps, parallel layers,
    /// experts in some layers.
    static let fixtures = [
        "llama-tied", "moult-gsa-window", "moult-hybrid", "moult-gla", "fla-gla-gate", "fla-mamba2-plain",
        "families/qwen2", "families/gpt2", "families/gpt_neox", "families/gemma3", "families/qwen3_moe-dense",
    ].map(GradientFixture.init)

    private struct Models {
        let adapted, merged: GradientFixture.Watched
        let adapters: RandomAdapters
        let tokens: [[Int32]]
    }

    private func models(_ fixture: GradientFixture) throws -> Models {
        let (configuration, parameters) = try fixture.parameters()
        let adapters = try RandomAdapters(configuration, parameters, rank: 3)
        return Models(
            adapted: try .init(configuration, parameters.merging(adapters.parameters) { $1 }),
            merged: try .init(configuration, parameters.merging(adapters.merged) { $1 }), adapters: adapters,
            tokens: try fixture.fixture.expected().tokens)
    }

    @Test("are the merged maps, whole and token by token", arguments: fixtures)
    func logits(_ fixture: GradientFixture) throws {
        let (configuration, parameters) = try fixture.parameters()
        let adapters = try RandomAdapters(configuration, parameters, rank: 3)
        #expect(adapters.maps.count >= 4)
        func model(_ others: [String: Tensor]) throws -> DecoderModel {
            try DecoderModel(configuration, parameters: Parameters(parameters.merging(others) { $1 }))
        }
        let (adapted, merged) = (try model(adapters.parameters), try model(adapters.merged))
        let tokens = try fixture.fixture.expected().tokens
        let expected = try merged.logits(tokens).array(Float.self)
        #expect(relativeError(try adapted.logits(tokens).array(), expected) < 3e-5)
        #expect(relativeError(try model([:]).logits(tokens).array(), expected) > 1e-2)
        let row = tokens[0].prefix(6), state = try adapted.makeState()
        let whole = try merged.logits([Array(row)]).array(Float.self)
        for (position, token) in row.enumerated() {
            let found = try adapted.nextLogits([token], state: state).array(Float.self)
            let start = position * found.count
            #expect(relativeError(found, Array(whole[start..<start + found.count])) < 1e-4, "token \(position)")
        }
    }

    @Test("have the gradients that W + B A gives them", arguments: fixtures)
    func gradients(_ fixture: GradientFixture) throws {
        let models = try models(fixture)
        let found = try models.adapted.gradients { model, _ in try meanCrossEntropy(model, models.tokens) }
        let expected = try models.merged.gradients { model, _ in try meanCrossEntropy(model, models.tokens) }
        var all: [String: [Float]] = expected
        for map in models.adapters.maps {
            let names = LowRankAdapter.names(of: map)
            let down = try #require(models.adapters.parameters[names.down]), rank = down.shape[0],
                inputs = down.shape[1]
            let up = try #require(models.adapters.parameters[names.up]), outputs = up.shape[0]
            let (a, b) = (try down.array(Float.self), try up.array(Float.self))
            let weight = try #require(expected["\(map).weight"])
            all[names.down] = (0..<rank * inputs).map { index in
                let (row, column) = (index / inputs, index % inputs)
                return Float(
                    (0..<outputs).reduce(0.0) { $0 + Double(b[$1 * rank + row]) * Double(weight[$1 * inputs + column]) }
                )
            }
            all[names.up] = (0..<outputs * rank).map { index in
                let (row, column) = (index / rank, index % rank)
                return Float(
                    (0..<inputs).reduce(0.0) {
                        $0 + Double(weight[row * inputs + $1]) * Double(a[column * inputs + $1])
                    })
            }
        }
        #expect(Set(found.keys) == Set(all.keys))
        fixture.expect(found, all, 2e-4)
        let again = try models.adapted.gradients { model, tape in
            try meanCrossEntropy(model, models.tokens, recomputation: Recomputation(tape, layers: 2))
        }
        #expect(again == found)
    }

    @Test("alone are given gradients when they alone are watched")
    func frozen() throws {
        let (configuration, parameters) = try GradientFixture(name: "moult-gsa-window").parameters()
        let adapters = try RandomAdapters(configuration, parameters, rank: 3)
        let tape = GradientTape()
        let watched = adapters.parameters.mapValues { tape.watch($0) }
        let model = try DecoderModel(configuration, parameters: Parameters(parameters.merging(watched) { $1 }))
        let tokens = try Fixture(name: "moult-gsa-window").expected().tokens
        try meanCrossEntropy(model, tokens)
        try tape.playBack()
        let all = try GradientFixture.Watched(configuration, parameters.merging(adapters.parameters) { $1 })
            .gradients { model, _ in try meanCrossEntropy(model, tokens) }
        for (name, tensor) in watched { #expect(try tensor.gradient?.array(Float.self) == all[name], "\(name)") }
        #expect(parameters.values.allSatisfy { $0.gradient == nil })
    }

    @Test("do not stand beside experts, routers, embeddings or what conversion made")
    func maps() throws {
        let (configuration, parameters) = try GradientFixture(name: "families/mixtral").parameters()
        let rules = try DecoderModel.rules(configuration)
        let maps = LowRankAdapter.maps(rules, of: configuration)
        #expect(!maps.isEmpty && maps.allSatisfy { $0.name.contains("self_attn") })
        let expert = try #require(rules.first { $0.name.contains(".experts.") }), shape = expert.shape
        let names = LowRankAdapter.names(of: String(expert.name.dropLast(".weight".count)))
        let others = [names.down: try Tensor.zeros([2, shape[1]]), names.up: try Tensor.zeros([shape[0], 2])]
        #expect(throws: ModelError.self) {
            try DecoderModel(configuration, parameters: Parameters(parameters.merging(others) { $1 }))
        }
        let (converted, _) = try GradientFixture(name: "moult-gsa-window").parameters()
        let found = Set(LowRankAdapter.maps(try DecoderModel.rules(converted), of: converted).map(\.name))
        let kinds = Set(found.map { $0.split(separator: ".").dropLast().last ?? "" })
        #expect(kinds == ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
        #expect(!found.contains { $0.contains("attn.gate_proj") })
    }
}
