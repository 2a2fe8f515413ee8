import Checkpoints
import Models
import Support
import Tensors
import Testing

/// A fixture with the gradients that torch found.
struct GradientFixture: Sendable, CustomTestStringConvertible {
    let name: String
    var testDescription: String { name }

    static let all = [
        "llama-tied", "llama-biases-llama3-rope", "fla-gsa-untied", "fla-gsa-tied", "moult-gsa", "moult-gsa-window",
        "moult-hybrid",
    ].map(GradientFixture.init)

    var fixture: Fixture { Fixture(name: name) }

    /// A model of a fixture whose parameters are watched by a tape of its own.
    struct Watched {
        let tape = GradientTape()
        let parameters: [String: Tensor]
        let model: DecoderModel

        init(_ configuration: ModelConfiguration, _ parameters: [String: Tensor]) throws {
            self.parameters = parameters.mapValues { [tape] in tape.watch($0) }
            model = try DecoderModel(configuration, parameters: Parameters(self.parameters))
        }

        /// The gradients that `loss` puts in place, by parameter.
        func gradients(_ loss: (DecoderModel, GradientTape) throws -> Void) throws -> [String: [Float]] {
            try loss(model, tape)
            try tape.playBack()
            return try parameters.compactMapValues { try $0.variable?.takeGradient()?.array() }
        }
    }

    func parameters(as dtype: DType = .float32) throws -> (ModelConfiguration, [String: Tensor]) {
        let files = try ModelFiles.open(fixture.path)
        let configuration = try ModelConfiguration(files.configuration)
        let rules = try DecoderModel.rules(configuration)
        let parameters = try Parameters(rules, from: files.checkpoint, as: dtype)
        return (configuration, try Dictionary(uniqueKeysWithValues: rules.map { ($0.name, try parameters[$0.name]) }))
    }

    func watched(as dtype: DType = .float32) throws -> Watched {
        let (configuration, parameters) = try parameters(as: dtype)
        return try Watched(configuration, parameters)
    }

    /// What torch found.
    func expected() throws -> (loss: Double, gradients: [String: [Float]]) {
        let file = try SafetensorsCheckpoint(path: "\(fixture.path)/gradients.safetensors")
        let loss = try file.load("loss", as: .float64).array(Double.self)
        let names = file.tensors.map(\.name).filter { $0 != "loss" }
        let gradients = try names.map { ($0, try file.load($0, as: .float32).array(Float.self)) }
        return (loss.first ?? .nan, Dictionary(uniqueKeysWithValues: gradients))
    }
}

/// Mean cross-entropy of every token but a row's first, with its gradients put in place.
@discardableResult
func meanCrossEntropy(
    _ model: DecoderModel, _ tokens: [[Int32]], documents: Documents? = nil, recomputation: Recomputation? = nil
) throws -> Double {
    let hidden = try model.hidden(
        tokens.map { Array($0.dropLast()) }, documents: documents, recomputation: recomputation)
    let targets = tokens.flatMap { $0.dropFirst() }
    let losses = try hidden.crossEntropy(
        head: model.headWeight, targets: targets, scale: 1 / Float(targets.count))
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
        for (name, gradient) in expected.gradients {
            let error = relativeError(found[name] ?? [], gradient)
            #expect(error < 5e-5, "\(name): \(error)")
        }
    }

    @Test("along random directions, against differences of the loss", arguments: GradientFixture.all)
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

    @Test("with bfloat16 weights close to those with float32", arguments: GradientFixture.all)
    func bfloat16(_ fixture: GradientFixture) throws {
        let tokens = try fixture.fixture.expected().tokens
        let found = try fixture.watched(as: .bfloat16).gradients { model, _ in try meanCrossEntropy(model, tokens) }
        // The weights are exact in bfloat16; what is left is the rounding of the products' other factor.
        for (name, gradient) in try fixture.expected().gradients {
            let error = relativeNorm(found[name] ?? [], gradient)
            #expect(error < 3e-2, "\(name): \(error)")
        }
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
            _ = try hidden.crossEntropy(head: model.headWeight, targets: targets, scale: 1 / Float(targets.count))
        }
        #expect(Set(packed.keys) == Set(separate.keys))
        for (name, gradient) in separate {
            // Positions run on across documents, so that rotary models agree only to rounding.
            let error = relativeError(packed[name] ?? [], gradient)
            #expect(error < 1e-4, "\(name): \(error)")
        }
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
        "one layer's mixer learns its teacher's output", arguments: ["moult-gsa", "moult-gsa-window", "moult-hybrid"])
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
