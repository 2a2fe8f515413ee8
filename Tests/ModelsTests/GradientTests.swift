import Checkpoints
import Models
import Support
import Tensors
import Testing

/// Mean cross-entropy of every token but a row's first, with its gradients put in place.
@discardableResult
func meanCrossEntropy(
    _ model: DecoderModel, _ tokens: [[Int32]], documents: Documents? = nil, recomputation: Recomputation? = nil
) throws -> Double {
    let hidden = try model.hidden(
        tokens.map { Array($0.dropLast()) }, documents: documents, recomputation: recomputation)
    let targets = tokens.flatMap { $0.dropFirst() }
    let losses = try hidden.crossEntropy(
        head: model.headWeight, targets: targets, scale: 1 / Float(targets.count), cap: model.logitCap)
    return losses.reduce(0) { $0 + Double($1) } / Double(targets.count)
}

@Suite("Gradients of whole models")
struct GradientTests {
    @Test("of every parameter, against torch", arguments: GradientFixture.all)
    func torch(_ fixture: GradientFixture) throws {
        let tokens = try fixture.fixture.expected().tokens
        let expected = try fixture.expected()
        let watched = try fixture.watched()
        var loss = 0.0
        let found = try watched.gradients { model, _ in loss = try meanCrossEntropy(model, tokens) }
        #expect(abs(loss - expected.loss) < 1e-5 * expected.loss)
        #expect(Set(found.keys) == Set(expected.gradients.keys))
        try fixture.expect(fixture.withoutPadding(found), fixture.withoutPadding(expected.gradients), 5e-5)
    }

    @Test(
        "along random directions, against differences of the loss",
        // Of the others of these layers keys of next to no length are turned fast by any step.
        arguments: GradientFixture.smooth.filter {
            !["fla-gated_deltanet-convolution", "fla-gated_deltanet-values", "fla-kda-bounded"].contains($0.name)
        })
    func differences(_ fixture: GradientFixture) throws {
        let tokens = try fixture.fixture.expected().tokens
        let (configuration, parameters) = try fixture.parameters()
        let found = try GradientFixture.Watched(configuration, parameters).gradients { model, _ in
            try meanCrossEntropy(model, tokens)
        }
        var generator = SplitMix64(seed: 7)
        for _ in 0..<3 {
            try expectSlope(of: parameters, found, &generator) { moved in
                try meanCrossEntropy(DecoderModel(configuration, parameters: moved), tokens)
            }
        }
    }

    @Test(
        "with bfloat16 weights close to those with float32",
        // Rounding grows with the layers that it goes through, 4 and 7 here, 3 and 2 in their sisters, and where a whole head's
        // decay gets a sum over all tokens. Norms of single heads make what is read of a memory as large as anything, and with it its
        // rounding; of the layers that have them those here have little of it.
        arguments: GradientFixture.smooth.filter {
            !["families/smollm3", "families/gemma3", "moult-mamba2", "moult-retention"].contains($0.name)
                && (!Fixture.published.map(\.name).contains($0.name) || $0.name.hasSuffix("-hybrid")
                    || ["fla-retnet-shared", "fla-hgrn2-free"].contains($0.name))
        })
    func bfloat16(_ fixture: GradientFixture) throws {
        let tokens = try fixture.fixture.expected().tokens
        let found = try fixture.watched(as: .bfloat16).gradients { model, _ in try meanCrossEntropy(model, tokens) }
        // The weights are exact in bfloat16; what is left is the rounding of the products' other factor.
        let expected = try fixture.expected().gradients
        try fixture.expect(
            fixture.withoutPadding(found), fixture.withoutPadding(expected), 3e-2, by: relativeNorm)
    }

    @Test("of packed documents are those of separate rows", arguments: GradientFixture.all)
    func documents(_ fixture: GradientFixture) throws {
        let tokens = try fixture.fixture.expected().tokens
        let watched = try fixture.watched()
        let separate = try watched.gradients { model, _ in try meanCrossEntropy(model, tokens) }
        let length = tokens[0].count - 1
        let inputs = tokens.flatMap { $0.dropLast() }
        let targets = tokens.flatMap { $0.dropFirst() }
        let packed = try watched.gradients { model, _ in
            let hidden = try model.hidden([inputs], documents: [0, length])
            _ = try hidden.crossEntropy(
                head: model.headWeight, targets: targets, scale: 1 / Float(targets.count), cap: model.logitCap)
        }
        #expect(Set(packed.keys) == Set(separate.keys))
        // Positions run on across documents, so that rotary models agree only to rounding.
        fixture.expect(packed, separate, 1e-4)
    }

    @Test("with layers computed again, the same to the bit", arguments: GradientFixture.all)
    func recomputation(_ fixture: GradientFixture) throws {
        let tokens = try fixture.fixture.expected().tokens
        let watched = try fixture.watched()
        let kept = try watched.gradients { model, _ in try meanCrossEntropy(model, tokens) }
        #expect(!kept.isEmpty)
        for layers in 1...2 {
            let again = try watched.gradients { model, tape in
                try meanCrossEntropy(model, tokens, recomputation: Recomputation(tape, layers: layers))
            }
            #expect(again == kept, "\(layers) layers")
        }
    }

    @Test("so too where a row is longer than the source has seen, and sinks would be seen with queries of their own")
    func longRecomputation() throws {
        var (configuration, parameters) = try GradientFixture(name: "moult-gsa-window").parameters()
        configuration.decoder.maximumPositions = 6
        configuration.mixerOptions[SoftmaxAttention.name] = SoftmaxAttention.Options(sinks: 2).json
        let watched = try GradientFixture.Watched(configuration, parameters)
        let row = (0..<400).map { Int32($0 * 7919 % configuration.decoder.vocabularySize) }
        let kept = try watched.gradients { model, _ in try meanCrossEntropy(model, [row]) }
        let again = try watched.gradients { model, tape in
            try meanCrossEntropy(model, [row], recomputation: Recomputation(tape, layers: 2))
        }
        #expect(!kept.isEmpty && again == kept)
    }

    @Test(
        "one layer's mixer learns its teacher's output",
        arguments: ["moult-gsa", "moult-gsa-window", "moult-hybrid"] + Fixture.memories.map(\.name))
    func alignment(_ name: String) throws {
        // The mixers of these fixtures were made from llama-tied.
        let (fixture, source) = (GradientFixture(name: name), GradientFixture(name: "llama-tied"))
        let tokens = try fixture.fixture.expected().tokens
        let teacher = try source.fixture.model()
        let (configuration, parameters) = try fixture.parameters()
        let watched = try GradientFixture.Watched(configuration, parameters)
        let ids = try Tensor(tokens.flatMap { $0 }, shape: [tokens.count, tokens[0].count])
        try teacher.visitMixers(ids) { layer, input, output, context in
            guard configuration.mixers[layer] != SoftmaxAttention.name else { return }
            func error(_ model: DecoderModel) throws -> Double {
                let found = try model.mix(input, layer: layer, context: context).array(Float.self)
                let (difference, energy) = zip(found, try output.array(Float.self)).reduce((0.0, 0.0)) { sums, pair in
                    let distance = Double(pair.0) - Double(pair.1)
                    return (sums.0 + distance * distance, sums.1 + Double(pair.1) * Double(pair.1))
                }
                return difference / energy
            }
            var loss = 0.0
            let gradients = try watched.gradients { model, _ in
                loss = try model.mix(input, layer: layer, context: context).relativeSquaredError(to: output).scalar()
            }
            #expect(abs(loss - (try error(watched.model))) < 1e-6 * loss)
            let prefix = configuration.names.mixer(layer) + "."
            #expect(Set(gradients.keys) == Set(parameters.keys.filter { $0.hasPrefix(prefix) }))
            for (name, gradient) in gradients {
                guard let tensor = parameters[name] else { continue }
                // Along the gradient itself, where the slope is its squared norm.
                let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
                let step = 1e-2 / norm
                func moved(_ steps: Double) throws -> Double {
                    let values = zip(try tensor.array(Float.self), gradient).map { $0 + Float(steps * step) * $1 }
                    var changed = parameters
                    changed[name] = try Tensor(values, shape: tensor.shape)
                    return try error(DecoderModel(configuration, parameters: Parameters(changed)))
                }
                let (near, far) = (try moved(1) - moved(-1), try moved(2) - moved(-2))
                let slope = (8 * near - far) / (12 * 1e-2)
                #expect(abs(slope - norm) < 1e-5 + 2e-3 * norm, "layer \(layer), \(name): \(norm) and \(slope)")
            }
        }
    }
}

/// ‖found - expected‖ / ‖expected‖.
func relativeNorm(_ found: [Float], _ expected: [Float]) -> Double {
    guard found.count == expected.count else { return .infinity }
    let (difference, norm) = zip(found, expected).reduce((0.0, 0.0)) { sums, pair in
        let distance = Double(pair.0) - Double(pair.1)
        return (sums.0 + distance * distance, sums.1 + Double(pair.1) * Double(pair.1))
    }
    return (difference / norm).squareRoot()
}
