import Checkpoints
import Foundation
import Models
import Tensors
import Testing
import Training

extension CUDATests {
    @Suite("Models and runs with memory of the host") struct HostMemoryModelTests {
        private let folder: TinyModels

        init() throws { folder = try TinyModels() }

        private func teacher(in memory: MemoryKind) throws -> DecoderModel {
            try DecoderModel.load(folder.teacher).to(.cuda, layersIn: memory)
        }

        private func use() throws -> (available: Int, host: Int) {
            try #require(try Device.cuda.memoryUse())
        }

        /// Bytes of blocks that hold `rules`, matrices of `size` bytes an element and vectors of four.
        private func bytes(_ rules: [ParameterRule], size: Int = 2) -> Int {
            rules.reduce(0) { sum, rule in
                let bytes = rule.shape.reduce(rule.shape.count > 1 ? size : 4, *)
                return sum + (bytes + 511) / 512 * 512
            }
        }

        private static let ids: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]

        private func ids() throws -> Tensor { try Tensor(Self.ids, shape: [1, 12]).to(.cuda) }

        @Test("a model whose layers are streamed computes the same, also step by step, and comes back to the card")
        func model() throws {
            let models = try MemoryKind.allCases.map(teacher)
            #expect(models.allSatisfy { $0.device == .cuda })
            let logits = try models.map { try $0.logits([Self.ids]).array() }
            #expect(logits[0] == logits[1])
            let steps = try models.map { try Together($0, reading: [Self.ids]) }
            let tokens = try steps.map { try $0.generate(6, after: [7]) }
            #expect(tokens[0] == tokens[1])
            #expect(try models[1].parameter("model.layers.0.mlp.up_proj.weight").memory == .host)
            #expect(try models[1].parameter("model.embed_tokens.weight").memory == .device)
            let back = try models[1].to(.cuda)
            #expect(try back.parameter("model.layers.0.mlp.up_proj.weight").memory == .device)
            #expect(try models[1].fingerprint() == models[0].fingerprint())
        }

        @Test("of a streamed model one layer at a time is on the card, also while work is recorded")
        func layers() throws {
            let rules = try DecoderModel.rules(ModelConfiguration(ModelFiles.open(folder.teacher).configuration))
            let layers = rules.filter { $0.name.hasPrefix("model.layers.") }
            let one = layers.filter { $0.name.hasPrefix("model.layers.0.") }
            let ids = try ids()
            var (resident, inMixers): ([Int], [[Int]]) = ([], [])
            for memory in MemoryKind.allCases {
                let before = try use(), model = try teacher(in: memory)
                // Tables of positions stay with the model.
                _ = try model.hidden(ids: ids)
                let after = try use()
                resident.append(before.available - after.available)
                #expect(after.host - before.host == (memory == .host ? bytes(layers) : 0))
                var bytes: [Int] = []
                try model.visitMixers(ids) { _, _, _, _ in bytes.append(before.available - (try use().available)) }
                inMixers.append(bytes)
                #expect(try use().available == after.available)
            }
            #expect(resident[0] - resident[1] == bytes(layers))
            #expect(inMixers[0].count == 2)
            #expect(zip(inMixers[0], inMixers[1]).allSatisfy { $0 - $1 == bytes(layers) - bytes(one) })
            let models = try MemoryKind.allCases.map(teacher)
            let results = try models.map { model in
                var result: Tensor?
                _ = try model.hidden(ids: ids)
                let graph = try Device.cuda.record { result = try model.hidden(ids: ids) }
                // Twice: what a layer has left in memory is another's by then.
                for _ in 0..<2 { try graph.run() }
                return try #require(result).array(BFloat16.self)
            }
            #expect(results[0] == results[1])
        }

        @Test("masters and means of the optimiser lie in the host's memory beside the copies that products read")
        func optimiser() throws {
            let files = try ModelFiles.open(folder.converted(.window))
            var (own, host): ([Int], [Int]) = ([], [])
            for memory in MemoryKind.allCases {
                let before = try use()
                let model = try TrainableModel(files, as: nil, device: .cuda, optimiserIn: memory)
                try model.train(Set(model.rules.map(\.name)))
                let after = try use()
                own.append(before.available - after.available)
                host.append(after.host - before.host)
                withExtendedLifetime(model) {}
            }
            let rules = try DecoderModel.rules(ModelConfiguration(files.configuration))
            let states = 3 * bytes(rules.filter { $0.shape.count > 1 }, size: 4)
            #expect(own[0] - own[1] == states && host == [0, states])
        }

        private struct Stop: Error {}

        /// Losses of the steps and the student's bytes.
        private func train(
            _ configuration: TrainingConfiguration, _ name: String, _ memory: MemoryPlacement, resuming: Bool = false,
            stop: Int? = nil
        ) throws -> (losses: [Double], student: Data?) {
            let path = "\(folder.path)/\(name)"
            let run = try TrainingRun(
                configuration, folder: RunFolder(path: path, model: configuration.model, resuming: resuming),
                resuming: resuming, device: .cuda, memory: memory
            ) { _ in { _, _ in } }
            var losses: [Double] = []
            do {
                try run.train {
                    guard case .step(let step) = $0 else { return }
                    losses.append(step.loss)
                    if step.step == stop { throw Stop() }
                }
            } catch is Stop {}
            let file = URL(fileURLWithPath: "\(path)/student/model.safetensors")
            return (losses, stop == nil ? try Data(contentsOf: file) : nil)
        }

        @Test("runs have the same bits wherever states and teacher lie, stopped and resumed elsewhere too")
        func runs() throws {
            // Four steps of each stage: the first by hand, the others recorded.
            let configuration = try folder.training(.window, "align=384,select=1,distil=384,finetune=384")
            let expected = try train(configuration, "device", MemoryPlacement())
            #expect(expected.losses.count == 12)
            for (optimiser, teacher) in [(MemoryKind.host, MemoryKind.host), (.host, .device), (.device, .host)] {
                let memory = MemoryPlacement(optimiser: optimiser, teacher: teacher)
                let found = try train(configuration, "\(optimiser)-\(teacher)", memory)
                #expect(found.losses == expected.losses && found.student == expected.student)
            }
            let placements = [MemoryPlacement(), MemoryPlacement(optimiser: .host, teacher: .host)]
            for (number, stop) in [6, 10].enumerated() {
                let (name, order) = ("stopped-\(number)", number == 0 ? placements : placements.reversed())
                let start = try train(configuration, name, order[0], stop: stop)
                let rest = try train(configuration, name, order[1], resuming: true)
                #expect(start.losses + rest.losses == expected.losses && rest.student == expected.student)
            }
        }
    }
}
