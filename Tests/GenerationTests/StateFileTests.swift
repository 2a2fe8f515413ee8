import Checkpoints
import Foundation
import Generation
import Models
import Support
import Tensors
import TestSupport
import Testing

@Suite("State files")
struct StateFileTests {
    private let folder: TemporaryFolder
    private var path: String { "\(folder.path)/a.state" }

    init() throws { folder = try TemporaryFolder() }

    private func continuation(_ session: GenerationSession, _ sampler: Sampler, _ limit: Int = 40) throws -> [Int32] {
        var (sampler, tokens) = (sampler, [Int32]())
        try session.generate(limit: limit, sampler: &sampler, stops: []) { tokens.append($0) }
        return tokens
    }

    @Test(
        "a restored session continues bit for bit, greedily and sampled",
        arguments: [
            "llama-tied", "mistral-sliding-window", "fla-gsa-tied", "fla-gsa-hybrid", "moult-gsa", "moult-gsa-window",
            "moult-hybrid", "moult-gated_deltanet", "moult-retention",
        ])
    func continues(_ name: String) throws {
        let model = try tinyModel(name)
        // Shorter than every window, past them, and past the first capacity of a cache.
        for length in [1, 5, 64, 130] {
            let session = try GenerationSession(model)
            try session.read((0..<length).map { Int32($0 * 37 % 64) })
            var sampler = Sampler(try SamplingOptions(repetitionPenalty: 1.2, temperature: 1.5, topP: 0.9), seed: 7)
            for _ in 0..<3 { try session.read([session.pick(&sampler)]) }
            try StateFile.write(
                session, generatorState: sampler.generatorState, notes: Data("notes".utf8), to: path)

            let restored = try StateFile(path: path, model: model)
            #expect(restored.notes == Data("notes".utf8))
            #expect(restored.session.state.position == length + 3)
            #expect(restored.session.digest == session.digest)
            #expect(restored.session.state.byteCount <= session.state.byteCount)
            var again = Sampler(sampler.options, seed: 1)
            again.generatorState = try #require(restored.generatorState)
            #expect(
                try continuation(restored.session.fork(), try Sampler()) == continuation(session.fork(), try Sampler()))
            #expect(try continuation(restored.session, again) == continuation(session, sampler))
            // Every bit of both states, after 40 more tokens.
            let states = try [session, restored.session].map { try $0.state.snapshot() }
            #expect(states[0].tensors.map(\.name) == states[1].tensors.map(\.name))
            for (a, b) in zip(states[0].tensors, states[1].tensors) {
                #expect(a.value.shape == b.value.shape)
                #expect(try a.value.array().map(\.bitPattern) == b.value.array().map(\.bitPattern), "\(a.name)")
            }
        }
    }

    @Test("what a session reads after it was saved does not reach the file, and a file is replaced")
    func replaces() throws {
        let model = try tinyModel("moult-gsa-window")
        let session = try GenerationSession(model)
        try session.read([1, 2, 3])
        try StateFile.write(session, to: path)
        let first = try Data(contentsOf: URL(fileURLWithPath: path))
        let restored = try StateFile(path: path, model: model)
        #expect(restored.generatorState == nil && restored.notes.isEmpty)
        try restored.session.read([4])
        try StateFile.write(restored.session, to: path)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) != first)
        try StateFile.write(session, to: path)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == first)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a.state"])
    }

    @Test("a fork goes its own way")
    func forks() throws {
        let session = try GenerationSession(try tinyModel("moult-gsa-window"))
        try session.read([1, 2, 3])
        let before = try session.state.snapshot().tensors.map { try $0.value.array() }
        try session.fork().read([9, 9, 9])
        #expect(try session.state.snapshot().tensors.map { try $0.value.array() } == before)
        #expect(session.state.position == 3)
    }

    @Test("what is no state of this model is refused with its reason")
    func refusals() throws {
        let model = try tinyModel("moult-gsa")
        let session = try GenerationSession(model)
        #expect(throws: GenerationError.emptyPrompt) { try StateFile.write(session, to: path) }
        try session.read([1, 2, 3])
        try StateFile.write(session, to: path)
        func refusal(_ path: String, by model: DecoderModel) -> GenerationError? {
            #expect(throws: GenerationError.self) { try StateFile(path: path, model: model) }
        }
        guard case .otherModel = refusal(path, by: try tinyModel("moult-gsa-window")) else {
            Issue.record("another model's state was not refused as that")
            return
        }
        guard case .unreadableState = refusal("\(folder.path)/missing", by: model),
            case .notAState = refusal(folder.path, by: model), case .notAState = refusal(#filePath, by: model)
        else {
            Issue.record("what is no state was not refused as that")
            return
        }
        var contents = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        contents[8] = 2
        try Data(contents).write(to: URL(fileURLWithPath: path))
        #expect(refusal(path, by: model) == .stateVersion(path: path, supported: 1, found: 2))
        #expect(throws: CheckpointError.self) { try StateFile.write(session, to: "\(folder.path)/none/a.state") }
    }

    @Test("a change of one value of a weight, or of what is computed, is another model")
    func fingerprints() throws {
        let names = ["moult-gsa", "moult-gsa-window", "llama-tied", "fla-gsa-tied", "fla-gsa-untied", "moult-hybrid"]
        let fingerprints = try names.map { try tinyModel($0).fingerprint() }
        #expect(Set(fingerprints).count == names.count)
        #expect(try tinyModel("moult-gsa").fingerprint() == fingerprints[0])

        let path = testsFolder.appendingPathComponent("ModelsTests/Fixtures/moult-gsa").path
        let files = try ModelFiles.open(path)
        var configuration = try ModelConfiguration(files.configuration)
        let parameters = try Parameters(
            DecoderModel.rules(configuration), from: files.checkpoint, as: .float32)
        configuration.decoder.ropeTheta += 1
        #expect(try DecoderModel(configuration, parameters: parameters).fingerprint() != fingerprints[0])
        #expect(try DecoderModel.load(path, as: .bfloat16).fingerprint() != fingerprints[0])
    }

    @Test("thousands of damaged files are refused, and none ends the program")
    func damage() throws {
        let model = try tinyModel("moult-gsa-window")
        let session = try GenerationSession(model)
        try session.read([1, 2, 3])
        try StateFile.write(session, generatorState: 5, notes: Data("{}".utf8), to: path)
        let sound = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        var generator = SplitMix64(seed: 3)
        var refused = 0
        for round in 0..<3000 {
            var bytes = sound
            switch round % 3 {
            case 0: bytes.removeLast(Int.random(in: 1...bytes.count, using: &generator))
            case 1:
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] ^=
                    1 << UInt8.random(in: 0..<8, using: &generator)
            default: bytes += (0..<Int.random(in: 1...64, using: &generator)).map { UInt8($0) }
            }
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            do { _ = try StateFile(path: path, model: model) } catch let error as GenerationError {
                #expect(!error.description.contains("\n"))
                refused += 1
            }
        }
        #expect(refused == 3000)
    }

    @Test("files that are wrong in a way their checksum does not show never end the program")
    func forgery() throws {
        for name in ["moult-gsa-window", "llama-tied"] {
            let model = try tinyModel(name)
            let session = try GenerationSession(model)
            try session.read([1, 2, 3])
            try StateFile.write(session, generatorState: 5, notes: Data("{}".utf8), to: path)
            let sound = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
            var generator = SplitMix64(seed: 3)
            var (refused, accepted) = (0, 0)
            for round in 0..<1500 {
                var bytes = Array(sound.dropLast(8))
                // Mostly the header, where every field counts, and the first tensors' shapes.
                let reach = round % 4 == 0 ? bytes.count : 96
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    // Not the fingerprint, so that what lies behind it is read.
                    let place =
                        round % 7 == 0
                        ? Int.random(in: 12..<16, using: &generator) : Int.random(in: 32..<reach, using: &generator)
                    bytes[place] = Bool.random(using: &generator) ? 0xFF : UInt8.random(in: 0...255, using: &generator)
                }
                if round % 5 == 0 { bytes.removeLast(8 * Int.random(in: 1...20, using: &generator)) }
                withUnsafeBytes(of: UInt64(bytes.count + 8).littleEndian) { bytes.replaceSubrange(16..<24, with: $0) }
                withUnsafeBytes(of: bytes.withUnsafeBytes(XXHash64.hash).littleEndian) { bytes += $0 }
                try Data(bytes).write(to: URL(fileURLWithPath: path))
                do {
                    let restored = try StateFile(path: path, model: model)
                    accepted += 1
                    try? restored.session.read([4])
                } catch { refused += 1 }
            }
            #expect(refused > 300 && accepted > 50, "\(refused) refused, \(accepted) accepted")
        }
    }
}
