import CUDAEmulator
import Foundation
import Support
import Tensors
import TestSupport
import Testing
import Training

extension CUDATests {
    @Suite("What stages take of a GPU's memory") struct PlanTests {
        private let folder: TinyModels

        init() throws { folder = try TinyModels() }

        /// Plans of a run's stages, and the most bytes that each has taken.
        /// - Parameter isPlanOnly: whether nothing is trained.
        private func train(
            _ name: String, _ configuration: TrainingConfiguration, memory: MemoryPlacement = MemoryPlacement(),
            isPlanOnly: Bool = false
        ) throws -> (plans: [StagePlan], taken: [StageConfiguration.Kind: Int]) {
            struct Enough: Error {}
            let path = "\(folder.path)/\(name)"
            let run = try TrainingRun(
                configuration, folder: RunFolder(path: path, model: configuration.model, resuming: false),
                resuming: false, device: .cuda, memory: memory
            ) { _ in { _, _ in } }
            var (plans, taken): ([StagePlan], [StageConfiguration.Kind: Int]) = ([], [:])
            do {
                try run.train { event in
                    if case .step(let step) = event { taken[step.stage] = step.deviceBytes }
                    guard case .planned(let all) = event else { return }
                    plans = all
                    if isPlanOnly { throw Enough() }
                }
            } catch is Enough {}
            return (plans, taken)
        }

        private static let all = 8 << 30

        /// Leaves `bytes` for a plan, and the sixteenth that plans do not touch.
        private func limit(to bytes: Int) throws {
            // What does not fit makes the allocator give back what nobody uses.
            #expect(throws: TensorError.self) { try Tensor.zeros([Self.all], .uint8, on: .cuda) }
            let inUse = try Self.all - #require(try Device.cuda.memoryUse()).available
            moult_emulated_memory(inUse + bytes * 16 / 15)
        }

        /// Two steps of each stage.
        private func configuration(_ stages: String...) throws -> TrainingConfiguration {
            let rows = 8
            var configuration = try folder.training(
                .window, stages.map { "\($0)=\(2 * rows * 24)" }.joined(separator: ","))
            configuration.validation.recallQuestions = 0
            for index in configuration.stages.indices {
                (configuration.stages[index].sequences, configuration.stages[index].accumulation) = (rows, 1)
            }
            return configuration
        }

        @Test("is what was planned, wherever masters, means and the teacher lie", arguments: MemoryKind.allCases)
        func plans(_ memory: MemoryKind) throws {
            var configuration = try configuration("align", "distil", "finetune")
            configuration.stages[2].lowRank.rank = 4
            let placement = MemoryPlacement(optimiser: memory, teacher: memory)
            let (plans, taken) = try train("run-\(memory)", configuration, memory: placement)
            #expect(plans.map(\.stage) == [.align, .distil, .finetune])
            for plan in plans {
                let bytes = try #require(taken[plan.stage])
                // Tables of positions and of the optimiser are not planned: of a model this small they count.
                let share = Double(bytes - (400 << 10)) / Double(plan.device.total)
                #expect((0.6...1.1).contains(share), "\(plan.text): took \(bytes)")
                #expect((plan.host.total > 0) == (memory == .host), "\(plan.text)")
                #expect(plan.tokensPerSecond.map { $0 > 0 } == true)
            }
        }

        @Test("is refused where there is not as much, with what would fit; layers without room are computed again")
        func refusal() throws {
            let configuration = try configuration("distil")
            let plan = try train("fits", configuration, isPlanOnly: true).plans[0]
            #expect(plan.recomputedLayers == 0)
            defer { moult_emulated_memory(Self.all) }
            try limit(to: plan.device.total - plan.device.activations / 4)
            let smaller = try train("smaller", configuration, isPlanOnly: true).plans[0]
            #expect((1...2).contains(smaller.recomputedLayers) && smaller.device.total < plan.device.total)
            moult_emulated_memory(Self.all)
            // With half of the masters and means.
            try limit(to: plan.device.total - plan.device.optimiser / 2)
            let error = #expect(throws: TrainingError.self) { try train("large", configuration, isPlanOnly: true) }
            let text = error.map { "\($0)" } ?? ""
            #expect(text.hasPrefix("stage distil: expected to take at most "), "\(text)")
            #expect(text.contains(" of the memory of cuda, found distil: "), "\(text)")
            #expect(text.contains("it fits with the optimiser in the host's memory ("), "\(text)")
            #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/large"))
            let placement = MemoryPlacement(optimiser: .host)
            #expect(try train("elsewhere", configuration, memory: placement, isPlanOnly: true).plans.count == 1)
        }
    }
}
