import Checkpoints
import Models
import Tensors
import Testing

/// A model on the processor and the same on the emulated GPU.
struct ModelComparison {
    private let configuration: ModelConfiguration
    private let parameters: [String: Tensor]

    init(_ path: String) throws {
        let files = try ModelFiles.open(path)
        configuration = try ModelConfiguration(files.configuration)
        let rules = try DecoderModel.rules(configuration)
        let parameters = try Parameters(rules, from: files.checkpoint, as: .bfloat16)
        self.parameters = try Dictionary(uniqueKeysWithValues: rules.map { ($0.name, try parameters[$0.name]) })
    }

    func models() throws -> (cpu: DecoderModel, cuda: DecoderModel) {
        let model = try DecoderModel(configuration, parameters: Parameters(parameters))
        return (model, try model.to(.cuda))
    }

    /// Ids (B, T), of which every row repeats some.
    func tokens(_ rows: Int, _ length: Int) -> [[Int32]] {
        (0..<rows).map { row in
            (0..<length).map { Int32(($0 * 31 + row * 7) % 11 * 97 % configuration.decoder.vocabularySize) }
        }
    }

    /// Fails unless hidden states of rows and of packed documents are alike, and the scores of tokens.
    func expectHiddenStates(length: Int, _ tolerance: Double = 0.02) throws {
        let (cpu, cuda) = try models()
        let tokens = tokens(2, length)
        try expectClose(cuda.hidden(tokens), cpu.hidden(tokens), tolerance, "rows")
        let documents = Documents([0, 1, 30, 64].filter { $0 < length })
        try expectClose(
            cuda.hidden([tokens[0]], documents: documents), cpu.hidden([tokens[0]], documents: documents), tolerance,
            "documents")
        let positions = [1, 20, length - 1]
        let losses = try [cpu, cuda].map { try $0.scores(of: positions, in: tokens[0]).map(\.loss) }
        try expectClose(Tensor(losses[1], shape: [3]), Tensor(losses[0], shape: [3]), tolerance, "scores")
    }

    /// Gradients of the mean loss of the next token, by parameter.
    private func gradients(on device: Device, recomputed: Int = 0) throws -> [String: Tensor] {
        let tape = GradientTape()
        let watched = try parameters.mapValues { tape.watch(try $0.to(device)) }
        let tokens = tokens(2, 24)
        let hidden = try DecoderModel(configuration, parameters: Parameters(watched)).hidden(
            tokens.map { Array($0.dropLast()) },
            recomputation: recomputed > 0 ? Recomputation(tape, layers: recomputed) : nil)
        let names = configuration.names
        _ = try hidden.crossEntropy(
            head: watched[names.head] ?? watched[names.embedding] ?? hidden,
            targets: tokens.flatMap { $0.dropFirst() }, scale: 1 / 46, cap: configuration.decoder.logitCap)
        try tape.playBack()
        return watched.compactMapValues { $0.variable?.gradient }
    }

    /// Fails unless recording keeps what ``DecoderModel/activationFloats(_:)`` says, or somewhat less.
    func expectActivations() throws {
        let tape = GradientTape()
        let watched = try parameters.mapValues { tape.watch(try $0.to(.cuda)) }
        let model = try DecoderModel(configuration, parameters: Parameters(watched))
        let tokens = tokens(2, 512)
        // Once before, so that kernels are compiled and tables are there.
        for row in tokens { _ = try model.hidden([row]) }
        let before = try #require(try Device.cuda.memoryUse()).available
        let hidden = try model.hidden(tokens)
        let held = try before - #require(try Device.cuda.memoryUse()).available
        let layers = configuration.decoder.layerCount
        // 64 more of a token for what counts in small models alone: a number a head or a row, and blocks that are not full.
        let expected = try (DecoderModel.activationFloats(configuration) + 64) * 2 * 1024 * layers
        #expect((expected / 3...expected).contains(held), "\(held) of \(expected)")
        withExtendedLifetime(hidden) {}
    }

    private func size(_ gradient: Tensor) throws -> Double { try doubles(gradient).reduce(0) { max($0, abs($1)) } }

    /// Fails unless the gradients are alike, and the same to the bit where layers are computed again.
    func expectGradients(_ tolerance: Double = 0.05) throws {
        let (expected, found) = (try gradients(on: .cpu), try gradients(on: .cuda))
        #expect(Set(expected.keys) == Set(parameters.keys) && Set(found.keys) == Set(parameters.keys))
        let largest = try expected.values.reduce(0.0) { try max($0, size($1)) }
        for (name, gradient) in expected {
            let other = try #require(found[name])
            if try size(gradient) > 1e-6 * largest {
                // A sum whose terms cancel, such as that of a whole head's decay, has their rounding.
                try expectClose(other, gradient, max(tolerance, 1e-4 * largest / size(gradient)), name)
            } else {
                // Zero but for rounding, as of biases of keys that do not turn.
                #expect(try size(other) < 1e-3 * largest, "\(name)")
            }
        }
        for layers in 1...2 {
            for (name, gradient) in try gradients(on: .cuda, recomputed: layers) {
                #expect(try gradient.array(Float.self) == found[name]?.array(Float.self), "\(layers) \(name)")
            }
        }
    }

    /// Fails unless two sequences that are read on from a state, in pieces and by recorded steps, have the logits of rows
    /// that are read at once on the processor.
    func expectDecoding(_ tolerance: Double = 0.03) throws {
        let (cpu, cuda) = try models()
        let tokens = tokens(2, 40)
        let expected = try tokens.map { row in
            try cpu.logits([row]).reshaped([40, cpu.configuration.decoder.vocabularySize])
        }
        let together = try Together(cuda, reading: [[], []])
        func expectLogits(_ logits: Tensor, after count: Int) throws {
            for (row, expected) in expected.enumerated() {
                try expectClose(
                    logits.rows(row..<row + 1), expected.rows(count - 1..<count), tolerance, "after \(count)")
            }
        }
        for (start, end) in [(0, 9), (9, 10), (10, 13)] {
            let logits = try zip(tokens, together.states).map {
                try cuda.nextLogits(Array($0[start..<end]), state: $1).array(Float.self)
            }
            try expectLogits(Tensor(logits.flatMap { $0 }, shape: [2, logits[0].count]), after: end)
        }
        for position in 13..<30 {
            try together.read(tokens.map { $0[position] })
            try expectLogits(together.logits(), after: position + 1)
        }
        // A copy goes its own way.
        let fork = try Together(cuda, together.states.map { try $0.copy() })
        try fork.read([3, 4])
        try together.read(tokens.map { $0[30] })
        try expectLogits(together.logits(), after: 31)
    }
}
