import Checkpoints
import Conversion
import Foundation
import Models
import Reports
import Support
import Tensors
import TestSupport
import Testing
import Tokenizers
import Training

@Suite("Selecting heads")
struct SelectionTests {
    /// A Transformer of 3 layers and 2 key/value heads with random weights, and a student of it whose projections are others.
    private struct Pair {
        let teacher: DecoderModel
        let student: DecoderModel
        let tokens: [Int32] = (0..<60).map { Int32($0 * 37 % 96) }

        init(student seed: UInt64 = 2, queryKeyNorm: DecoderConfiguration.QueryKeyNorm? = nil) throws {
            let shape = ModelShape(
                "three", hidden: 32, mlp: 48, heads: 4, keyValueHeads: 2, headDim: 8, vocabulary: 2003)
            var configuration = try shape.configuration()
            configuration.decoder.layerCount = 3
            configuration.decoder.queryKeyNorm = queryKeyNorm
            configuration.mixers = [String](repeating: SoftmaxAttention.name, count: 3)
            var options: JSONObject = [
                "version": 2, "layers": .array(configuration.mixers.map { .string($0) }),
            ]
            options["gsa"] = ["slots": 4, "window": 4]
            options["attention"] = ["sinks": 2]
            func parameters(_ configuration: ModelConfiguration, seed: UInt64) throws -> [String: Tensor] {
                try DecoderModel.rules(configuration).reduce(into: [:]) { tensors, rule in
                    let isNorm =
                        rule.shape.count == 1 && rule.name.hasSuffix("norm.weight") && !rule.name.contains("self_attn")
                    // Projections differ by the seed, everything else is the same.
                    let own = rule.name.contains("self_attn") ? seed : 0
                    let values = try Initialiser.normal(standardDeviation: 0.3)
                        .make(name: rule.name, shape: rule.shape, seed: own)
                    tensors[rule.name] =
                        isNorm ? try Tensor([Float](repeating: 1, count: values.count), shape: rule.shape) : values
                }
            }
            teacher = try DecoderModel(configuration, parameters: Parameters(parameters(configuration, seed: 1)))
            var converted = configuration
            converted.mixers = [String](repeating: GatedSlotAttention.name, count: 3)
            options["layers"] = .array(converted.mixers.map { .string($0) })
            converted.mixerOptions = options
            converted.decoder.json["moult"] = .object(options)
            student = try DecoderModel(converted, parameters: Parameters(parameters(converted, seed: seed)))
        }
    }

    @Test(
        "with all heads restored, in any order, the student is its teacher",
        arguments: [nil, DecoderConfiguration.QueryKeyNorm.head, .whole])
    func allHeads(_ norm: DecoderConfiguration.QueryKeyNorm?) throws {
        let pair = try Pair(queryKeyNorm: norm)
        let expected = try pair.teacher.logits([pair.tokens]).array(Float.self)
        for order in [
            [(0, 0), (0, 1), (1, 1), (2, 0), (2, 1), (1, 0)], [(2, 1), (1, 0), (0, 1), (2, 0), (0, 0), (1, 1)],
        ] {
            var model = pair.student
            for (layer, head) in order {
                #expect(distance(try model.logits([pair.tokens]).array(Float.self), expected) > 0.01)
                model = try restored(model, layer, head, pair.teacher)
                #expect(try model.configuration.keptHeads(layer).contains(head))
            }
            #expect(model.configuration.mixers.allSatisfy { $0 == SoftmaxAttention.name })
            #expect(distance(try model.logits([pair.tokens]).array(Float.self), expected) < 1e-4)
        }
    }

    /// The largest difference.
    private func distance(_ found: [Float], _ expected: [Float]) -> Float {
        zip(found, expected).reduce(found.count == expected.count ? 0 : .infinity) { max($0, abs($1.0 - $1.1)) }
    }

    private func restored(
        _ model: DecoderModel, _ layer: Int, _ head: Int, _ teacher: DecoderModel
    ) throws -> DecoderModel {
        let restoration = try HeadRestoration(
            HeadSet([head]), layer: layer, of: model.configuration, student: model.parameter, teacher: teacher.parameter
        )
        return try model.replacing(restoration.configuration, restoration.tensors)
    }

    @Test("a model that differs in one layer is run from there alone")
    func layerInputs() throws {
        let pair = try Pair()
        let changed = try restored(pair.student, 1, 1, pair.teacher)
        let whole = try changed.hidden([pair.tokens]).array(Float.self)
        let inputs = try pair.student.layerInputs(pair.tokens)
        #expect(try changed.hidden(inputs, from: 1).array(Float.self) == whole)
        #expect(try changed.hidden(inputs, from: 0).array(Float.self) == whole)
    }

    @Test("the best comes first, and nothing is chosen that does not help")
    func greedy() throws {
        let tokenizer = try Tokenizer.load(ModelFiles.open(Fixtures.path("teacher")))
        // Of random models the first student that is worse than its teacher.
        var found: (result: HeadSelection.Result, calls: [(Int, Int)])?
        for seed: UInt64 in 2..<20 where found == nil {
            let pair = try Pair(student: seed)
            let probe = SelectionProbe(
                tokenizer: try #require(tokenizer), texts: [pair.tokens, Array(pair.tokens.reversed())], seed: 1)
            var calls: [(Int, Int)] = []
            var selection = try HeadSelection(
                .init(count: 6), student: pair.student, teacher: pair.teacher, probe: probe
            ) { calls.append(($0, $1)) }
            let result = try selection.run()
            if result.student.recall > result.teacher.recall, !result.chosen.isEmpty { found = (result, calls) }
        }
        let (result, calls) = try #require(found)
        #expect(calls.allSatisfy { $0.0 <= $0.1 } && calls.last?.0 == calls.last?.1)
        var best = result.student.recall
        for (choice, trials) in zip(result.chosen, result.rounds) {
            #expect(choice.score.recall < best)
            #expect(trials.filter { $0.head != nil }.allSatisfy { $0.score.recall >= choice.score.recall })
            #expect(trials.allSatisfy { ($0.score.divergence ?? -1) >= 0 })
            best = choice.score.recall
        }
        #expect(result.rounds.first?.filter { $0.head == nil }.map(\.layer) == [0, 1, 2])
        let isDone =
            result.chosen.count == 6 || best <= result.teacher.recall || result.rounds.count > result.chosen.count
        #expect(isDone)
        #expect(result.keepAttention == result.chosen.map(\.name).joined(separator: ","))
    }

    @Test("as a stage: the run goes on with the heads, wherever it was stopped")
    func stage() throws {
        let run = try TinyRun("align=64,select=1,distil=64")
        run.eachStage { ($0.sequences, $0.accumulation, $0.schedule.peak) = (1, 2, 2e-3) }
        let whole = try run.train("whole")
        #expect(whole.isComplete)
        let selections = whole.events.compactMap { event -> HeadSelection.Result? in
            if case .selected(let result, _, _) = event { result } else { nil }
        }
        let result = try #require(selections.first)
        // Of this seed: the head of layer 1, of which it is the only one.
        #expect(selections.count == 1)
        let student = try DecoderModel.load("\(run.path("whole"))/student")
        for trial in result.chosen { #expect(student.configuration.mixers[trial.layer] == SoftmaxAttention.name) }
        #expect(student.configuration.mixers.count { $0 == SoftmaxAttention.name } == result.chosen.count)
        for index in whole.events.indices {
            let name = "stopped-\(index)"
            _ = try run.train(name, stop: index)
            #expect(try run.train(name, resuming: true).isComplete)
            for file in ["model.safetensors", "config.json", "README.md"] {
                let same = try run.bytes("\(name)/student/\(file)") == run.bytes("whole/student/\(file)")
                #expect(same, "\(file), event \(index)")
            }
        }
        #expect(try RunReport(folder: run.path("whole")).write(to: run.path("report.html")) > 1000)
    }
}
