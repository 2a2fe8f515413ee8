import Checkpoints
import Conversion
import Foundation
import Generation
import Models
import Support
import Tensors
import TestSupport
import Testing
import Training

@Suite("Mixers, and one of a program's own")
struct OwnMixerTests {
    /// Those whose decoding is that of many tokens.
    private static let memories = ["gla", "gated_deltanet", "kda", "mamba2", "retention", "hgrn2", "rwkv7"]

    private static let tokens: [Int32] = (0..<40).map { Int32($0 * 37 % 96) }

    /// The largest difference, relative to the largest expected value.
    private func relativeError(_ found: [Float], _ expected: [Float]) -> Float {
        guard found.count == expected.count, found.allSatisfy(\.isFinite) else { return .infinity }
        let largest = expected.reduce(0) { max($0, abs($1)) }
        return zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) } / max(largest, .leastNormalMagnitude)
    }

    init() throws { try MixerRegistry.register(AveragingMemory.self) }

    /// A Transformer with random weights, of `layers` layers with 4 heads, 2 for keys and values.
    private func source(_ folder: TemporaryFolder, layers: Int = 3) throws -> ModelFiles {
        let shape = ModelShape("own", hidden: 32, mlp: 48, heads: 4, keyValueHeads: 2, headDim: 8, vocabulary: 96)
        try shape.write(to: folder.path, layers: layers)
        return try ModelFiles.open(folder.path)
    }

    /// A conversion of it, whose projections are random and whose gates do something.
    private func convert(
        _ mixer: String, in folder: TemporaryFolder, _ change: (inout ConversionOptions) -> Void = { _ in }
    ) throws -> String {
        let original = try TemporaryFolder(inMemory: true)
        var options = ConversionOptions()
        (options.mixer, options.window, options.sinks, options.dtype) = (mixer, 4, 2, .float32)
        change(&options)
        let output = "\(folder.path)/student-\(mixer.count)"
        _ = try Converter(source(original), options: options).run(output: output)
        return output
    }

    @Test(
        "reads a text at once, in segments and token by token alike, alone and beside others",
        arguments: [
            ("averaging", 4, ""), ("averaging", 0, ""), ("averaging", 4, "0:1,2"), ("averaging", 0, "1:0"),
            ("0=averaging,1-2=gsa", 4, "1:1"), ("0=gla,1=kda,2=attention", 4, "1:0"), ("0=mamba2,1-2=hgrn2", 0, ""),
        ] + memories.map { ($0, 4, "0:1,2") })
    func forms(_ mixer: String, _ window: Int, _ kept: String) throws {
        let folder = try TemporaryFolder(inMemory: true)
        let path = try convert(mixer, in: folder) {
            ($0.window, $0.keptAttention) = (window, kept.isEmpty ? [] : KeptAttention(kept) ?? [])
        }
        let model = try DecoderModel.load(path)
        let whole = try model.logits([Self.tokens]).array(Float.self)
        let vocabulary = whole.count / Self.tokens.count
        func expect(_ found: [Float], from start: Int, _ what: Comment) {
            let wanted = whole[start * vocabulary..<start * vocabulary + found.count]
            #expect(relativeError(found, Array(wanted)) < 2e-5, what)
        }
        let state = try model.makeState()
        for (start, end) in [(0, 7), (7, 8), (8, 40)] {
            expect(try model.logits([Array(Self.tokens[start..<end])], state: state).array(), from: start, "segment")
        }
        // Three sequences, each three tokens behind the one before it.
        let step = try DecoderStep(model, capacity: 3)
        let states = try (0..<3).map { _ in try model.makeState() }
        for round in 0..<Self.tokens.count + 6 {
            let rows = (0..<3).filter { (0..<Self.tokens.count).contains(round - 3 * $0) }
            try step.read(rows.map { Self.tokens[round - 3 * $0] }, states: rows.map { states[$0] })
            for (row, sequence) in rows.enumerated() {
                expect(step.withLogits(of: row) { Array($0) }, from: round - 3 * sequence, "row \(row)")
            }
        }
        let cost = try model.configuration.stateCost()
        #expect(cost.perToken == 0 && cost.constant >= states[0].byteCount - 2 * 4096)
    }

    @Test("is said in the files of the conversion, with its options")
    func files() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let path = try convert("1=averaging", in: folder) {
            ($0.slots, $0.mixerOptions) = (4, ["half_life": 8])
        }
        let json = try JSONValue(file: "\(path)/config.json")["moult"]
        #expect(json?["layers"] == ["gsa", "averaging", "gsa"])
        #expect(json?["averaging"] == ["profile": "softmax-preserving", "half_life": 8, "window": 4])
        #expect(json?["gsa"] == ["profile": "softmax-preserving", "slots": 4, "window": 4])
        let card = try String(contentsOfFile: "\(path)/README.md", encoding: .utf8)
        #expect(
            card.contains(
                "Gated Slot Attention (arXiv 2409.07146), 4 slots per key/value head, in layers 0, 2; "
                    + "exponential moving averages, half-life 8, in layers 1, profile `softmax-preserving`, beside softmax "
                    + "attention over the first 2 and the last 4 tokens."))
        let alone = try convert("averaging", in: folder)
        let other = try String(contentsOfFile: "\(alone)/README.md", encoding: .utf8)
        #expect(other.contains(": exponential moving averages, profile `softmax-preserving`, half-life 32, beside"))
    }

    @Test("saves its state, and forks")
    func states() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let model = try DecoderModel.load(convert("averaging", in: folder))
        let session = try GenerationSession(model)
        try session.read(Self.tokens)
        let fork = try session.fork()
        try StateFile.write(session, to: "\(folder.path)/a.state")
        let restored = try StateFile(path: "\(folder.path)/a.state", model: model).session
        let names = try session.state.snapshot().tensors.map(\.name)
        #expect(
            names.prefix(5) == [
                "layers.0.average.keys", "layers.0.average.values", "layers.0.average.last", "layers.0.window.keys",
                "layers.0.window.values",
            ])
        try session.read([5, 6])
        try restored.read([5, 6])
        try fork.read([5, 6])
        let expected = try session.withLogits { Array($0) }
        #expect(try restored.withLogits { Array($0) } == expected)
        #expect(try fork.withLogits { Array($0) } == expected)
    }

    @Test("is quantised like any other", arguments: ["averaging"] + memories, [4, 8])
    func quantised(_ mixer: String, _ bits: Int) throws {
        let folder = try TemporaryFolder(inMemory: true)
        let path = try convert(mixer, in: folder), output = "\(folder.path)/rounded"
        var options = QuantisationOptions()
        options.bits = bits
        _ = try ModelQuantiser(ModelFiles.open(path), options: options).run(output: output)
        let model = try DecoderModel.load(output), state = try model.makeState(), step = try DecoderStep(model)
        #expect(step.weights.contains { $0.dtype.isQuantised })
        let whole = try model.logits([Self.tokens]).array(Float.self)
        var found: [Float] = []
        for token in Self.tokens {
            try step.read([token], states: [state])
            found += step.withLogits { Array($0) }
        }
        #expect(relativeError(found, whole) < 5e-2)
        #expect(model.configuration.mixers == [mixer, mixer, mixer])
    }

    @Test(
        "is trained in every stage, with rows that carry its state too",
        arguments: ["align=64", "align=64,select=1,distil=64", "distil=64", "finetune=64", "distil=256@16x4"])
    func training(_ stages: String) throws {
        let run = try train(AveragingMemory.name, stages)
        let changed = try run.changed("run/student", from: stages.contains("select") ? "run/student" : "model")
        if !stages.contains("select") {
            let own = "self_attn.forget_proj.weight"
            #expect(changed.contains { $0.hasSuffix(own) }, "\(changed)")
        }
    }

    @Test(
        "of Moult's own are trained, with heads given back and with rows that carry their states",
        arguments: memories, ["align=64,select=1,distil=64", "distil=128@16x4"])
    func ownTraining(_ mixer: String, _ stages: String) throws { _ = try train(mixer, stages) }

    /// A run that ends well: every loss is a number, and so is what its student says.
    private func train(_ mixer: String, _ stages: String) throws -> TinyRun {
        let run = try TinyRun(stages, mixer: mixer)
        run.eachStage { ($0.sequences, $0.accumulation, $0.schedule.peak) = (1, 1, 2e-3) }
        let record = try run.train()
        #expect(record.isComplete && record.losses.allSatisfy(\.isFinite))
        let student = try DecoderModel.load(run.path("run/student"))
        #expect(try student.logits([Self.tokens]).array(Float.self).allSatisfy(\.isFinite))
        return run
    }

    @Test("gives heads their attention back, until it is the teacher", arguments: ["averaging"] + memories)
    func restoration(_ mixer: String) throws {
        let folder = try TemporaryFolder(inMemory: true), original = try TemporaryFolder(inMemory: true)
        let teacher = try DecoderModel.load(source(original), as: .float32)
        var student = try DecoderModel.load(convert(mixer, in: folder))
        let expected = try teacher.logits([Self.tokens]).array(Float.self)
        for (layer, head) in [(1, 0), (0, 1), (2, 1), (1, 1), (0, 0), (2, 0)] {
            #expect(relativeError(try student.logits([Self.tokens]).array(), expected) > 1e-3)
            let restoration = try HeadRestoration(
                HeadSet([head]), layer: layer, of: student.configuration, student: student.parameter,
                teacher: teacher.parameter)
            student = try student.replacing(restoration.configuration, restoration.tensors)
        }
        #expect(relativeError(try student.logits([Self.tokens]).array(), expected) < 1e-5)
    }

    @Test("may not have another's name, and is one however often it is added")
    func names() throws {
        let count = MixerRegistry.all.count
        try MixerRegistry.register(AveragingMemory.self)
        #expect(MixerRegistry.all.count == count)
        #expect(throws: ModelError.self) { try MixerRegistry.register(MemoryMixer<Impostor>.self) }
    }

    private struct Impostor: LongMemory {
        static let name = "gsa"
        static let title = "nothing"
        let isRotated = false
        typealias Options = NoMemoryOptions
        init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) {}
        static func rules(_ layer: MemoryLayer, _ options: Options) -> [ParameterRule] { [] }
        static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor] { [] }
        func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) -> Tensor { input.q }
    }
}
