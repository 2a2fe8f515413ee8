import Checkpoints
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Training

extension CUDATests {
    @Suite("Low-rank adapters on a GPU") struct AdapterTests {
        @Test("are the merged maps, in many rows and in few", arguments: [3, 8])
        func merged(_ rank: Int) throws {
            let folder = try TinyModels()
            let files = try ModelFiles.open(folder.converted(.window))
            let configuration = try ModelConfiguration(files.configuration)
            let rules = try DecoderModel.rules(configuration)
            let loaded = try Parameters(rules, from: files.checkpoint, as: .bfloat16)
            let parameters = try Dictionary(uniqueKeysWithValues: rules.map { ($0.name, try loaded[$0.name]) })
            let adapters = try RandomAdapters(configuration, parameters, rank: rank)
            func model(_ others: [String: Tensor]) throws -> DecoderModel {
                try DecoderModel(configuration, parameters: Parameters(parameters.merging(others) { $1 }))
            }
            let (adapted, merged) = (try model(adapters.parameters).to(.cuda), try model(adapters.merged))
            let tokens = (0..<70).map { Int32($0 * 31 % 11 * 97 % configuration.decoder.vocabularySize) }
            try expectClose(adapted.hidden([tokens]), merged.hidden([tokens]), 0.03, "rows")
            let state = try adapted.makeState(), other = try merged.makeState()
            for (start, end) in [(0, 9), (9, 10), (10, 12), (12, 13)] {
                let part = Array(tokens[start..<end])
                try expectClose(
                    adapted.nextLogits(part, state: state), merged.nextLogits(part, state: other), 0.04, "few rows")
            }
        }

        @Test("train as on the processor, become part of the weights, and go on to the bit after a stop")
        func training() throws {
            let folder = try TinyModels()
            var configuration = try folder.training(.window, "distil=672,finetune=288")
            configuration.checkpoints.every = 2
            configuration.stages[0].lowRank.rank = 4
            for index in configuration.stages.indices { configuration.stages[index].schedule.peak = 1e-3 }
            let (expected, found) = (
                try folder.train(configuration, "cpu", on: .cpu), try folder.train(configuration, "cuda", on: .cuda)
            )
            #expect(found.count == 10 && expected.count == 10)
            for (found, expected) in zip(found, expected) {
                #expect(abs(found - expected) <= 0.05 * expected, "\(found), expected \(expected)")
            }
            for stop in [3, 7, 8] {
                let start = try folder.train(configuration, "stopped\(stop)", on: .cuda, stop: stop)
                let rest = try folder.train(configuration, "stopped\(stop)", on: .cuda, resuming: true)
                #expect(start + rest == found)
                #expect(try folder.student("stopped\(stop)") == folder.student("cuda"))
            }
        }
    }
}
