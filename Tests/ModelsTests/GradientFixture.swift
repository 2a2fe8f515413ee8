import Checkpoints
import Models
import Tensors
import Testing

/// A fixture with the gradients that torch found.
struct GradientFixture: Sendable, CustomTestStringConvertible {
    let name: String
    var testDescription: String { name }

    static let all =
        ([
            "llama-tied", "llama-biases-llama3-rope", "fla-gsa-untied", "fla-gsa-tied", "moult-gsa", "moult-gsa-window",
            "moult-hybrid",
        ]
        + (Fixture.memories + Fixture.published.filter { $0.name != "fla-hgrn2-bounded" } + Fixture.families + [
            .longRope
        ]).map(\.name)).map(GradientFixture.init)

    /// Those without experts: which of them a token takes changes in steps.
    static let smooth = all.filter { !["mixtral", "moe"].contains(where: $0.name.contains) }

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

    /// What torch found, by the decoder's names. Each number of the file is one of these, which is checked.
    func expected() throws -> (loss: Double, gradients: [String: [Float]]) {
        let file = try SafetensorsCheckpoint(path: "\(fixture.path)/gradients.safetensors")
        let loss = try file.load("loss", as: .float64).array(Double.self)
        let checkpoint = try ModelFiles.open(fixture.path).checkpoint
        let gradients = try checkpoint.tensors.map { tensor in
            let recipe = (checkpoint as? DerivedCheckpoint)?.recipe(of: tensor.name) ?? .stored(tensor.name)
            return (tensor.name, try recipe.gradient(in: file).array(Float.self))
        }
        let counts = (gradients.reduce(1) { $0 + $1.1.count }, file.tensors.reduce(0) { $0 + $1.count })
        #expect(counts.0 == counts.1, "numbers of \(file.path)")
        return (loss.first ?? .nan, Dictionary(uniqueKeysWithValues: gradients))
    }

    /// Without the embedding of the token that fills up batches, to which torch gives no gradient.
    func withoutPadding(_ gradients: [String: [Float]]) throws -> [String: [Float]] {
        let decoder = try ModelFiles.open(fixture.path).configuration, name = ParameterNames.huggingFace.embedding
        guard let row = decoder.padToken, let table = gradients[name] else { return gradients }
        let (start, width) = (row * decoder.hiddenSize, decoder.hiddenSize)
        return gradients.merging([name: Array(table[..<start] + table[(start + width)...])]) { $1 }
    }

    /// Fails unless the `error` of every gradient is within `tolerance`, and those that are zero but for rounding, as of
    /// biases of keys that do not turn, are so here too.
    func expect(
        _ found: [String: [Float]], _ expected: [String: [Float]], _ tolerance: Double,
        by error: ([Float], [Float]) -> Double = { Double(relativeError($0, $1)) },
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        func size(_ gradient: [Float]?) -> Float { gradient?.reduce(0) { max($0, abs($1)) } ?? .infinity }
        let rounding = 1e-6 * (expected.values.map(size).max() ?? 0)
        for (name, gradient) in expected {
            guard size(gradient) > rounding else {
                #expect(size(found[name]) <= rounding, "\(name)", sourceLocation: sourceLocation)
                continue
            }
            let error = error(found[name] ?? [], gradient)
            #expect(error < tolerance, "\(name): \(error)", sourceLocation: sourceLocation)
        }
    }
}

extension TensorRecipe {
    /// The gradient of what this makes, of the gradients of what it is made of in `file`.
    fileprivate func gradient(in file: some Checkpoint) throws -> Tensor {
        switch self {
        case .stored(let name): return try file.load(name, as: .float32)
        case .rows(let part, let rows):
            let whole = try part.gradient(in: file)
            let values = try whole.array(Float.self), width = whole.count / whole.shape[0]
            return try Tensor(
                rows.flatMap { values[$0 * width..<($0 + 1) * width] }, shape: [rows.count] + whole.shape.dropFirst())
        case .member(let part, let number):
            let whole = try part.gradient(in: file)
            let size = whole.count / whole.shape[0]
            return try Tensor(
                Array(whole.array(Float.self)[number * size..<(number + 1) * size]),
                shape: Array(whole.shape.dropFirst()))
        case .transposed(let part):
            let whole = try part.gradient(in: file)
            let values = try whole.array(Float.self), (height, width) = (whole.shape[0], whole.shape[1])
            return try Tensor(
                (0..<width).flatMap { column in (0..<height).map { values[$0 * width + column] } },
                shape: [width, height])
        case .scaled(let part, let scale, _):
            let whole = try part.gradient(in: file)
            return try Tensor(whole.array(Float.self).map { $0 / scale }, shape: whole.shape)
        case .softmaxSum(let part, _):
            // Which is not linear: no gradient of the file's is that of one of these.
            return try part.gradient(in: file)
        }
    }
}
