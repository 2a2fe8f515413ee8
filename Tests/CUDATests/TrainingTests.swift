import Communication
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Training

extension CUDATests {
    @Suite("Training on a GPU") struct TrainingTests {
        private let folder: TinyModels
        private let configuration: TrainingConfiguration

        /// Seven steps of every stage on packed documents, one in shorter rows: the first by hand, the others recorded.
        init() throws {
            folder = try TinyModels()
            var configuration = try folder.training(.window, "align=672,distil=336@12,finetune=672")
            configuration.validation.every = 4
            for index in configuration.stages.indices { configuration.stages[index].schedule.peak = 3e-3 }
            self.configuration = configuration
        }

        private struct Record {
            var steps: [TrainingEvent.Step] = []
            var measured: [Double] = []
        }

        private struct Stop: Error {}

        /// - Parameter stop: the step after which to stop.
        private func train(_ name: String, on device: Device, resuming: Bool = false, stop: Int? = nil) throws -> Record
        {
            let folder = try RunFolder(path: path(name), model: configuration.model, resuming: resuming)
            let run = try TrainingRun(configuration, folder: folder, resuming: resuming, device: device) { _ in
                { _, _ in }
            }
            var record = Record()
            do {
                try run.train { event in
                    switch event {
                    case .step(let step):
                        record.steps.append(step)
                        if step.step == stop { throw Stop() }
                    case .measured(let measurement): record.measured.append(measurement.loss)
                    default: break
                    }
                }
            } catch is Stop {}
            return record
        }

        private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

        private func expectClose(_ found: [Double], _ expected: [Double], _ tolerance: Double, _ what: String) {
            #expect(found.count == expected.count)
            for (index, pair) in zip(found, expected).enumerated() {
                #expect(abs(pair.0 - pair.1) <= tolerance * pair.1, "\(what) \(index): \(pair.0), expected \(pair.1)")
            }
        }

        @Test("all stages have the losses of the processor, every time and on each GPU to the bit, stopped or not")
        func stages() throws {
            let expected = try train("cpu", on: .cpu)
            let found = try train("cuda", on: .cuda)
            #expect(expected.steps.count == 21)
            // Errors of a few per cent of the outputs, in bfloat16.
            expectClose(found.steps.map(\.loss), expected.steps.map(\.loss), 0.08, "loss")
            expectClose(found.measured, expected.measured, 0.01, "measured")
            expectClose(
                found.steps.map { $0.gradientNorm ?? .nan }, expected.steps.map { $0.gradientNorm ?? .nan }, 0.05,
                "gradient norm")
            let again = try train("again", on: .cuda(1))
            #expect(again.steps.map(\.loss) == found.steps.map(\.loss))
            #expect(try folder.student("again") == folder.student("cuda"))
            let start = try train("stopped", on: .cuda, stop: 10)
            let rest = try train("stopped", on: .cuda, resuming: true)
            #expect((start.steps + rest.steps).map(\.loss) == found.steps.map(\.loss))
            #expect(try folder.student("stopped") == folder.student("cuda"))
        }

        /// Losses and norms of each rank, threads of this process with a GPU each.
        private func train(
            _ name: String, ranks: Int, memory: MemoryKind = .device, stop: Int? = nil, resuming: Bool = false
        ) throws -> [Record] {
            let configuration = configuration, path = path(name)
            return try onThreads(Launch.here(ranks).map(\.place)) { place in
                let device = Device.cuda(place.rank)
                let sockets = try SocketCommunicator(place, run: "run", version: "1")
                let team = RunTeam(try DeviceCommunicator(sockets, device: device))
                let folder = try RunFolder(path: path, model: configuration.model, resuming: resuming, team: team)
                let run = try TrainingRun(
                    configuration, folder: folder, resuming: resuming, device: device,
                    memory: MemoryPlacement(optimiser: memory, teacher: memory), team: team
                ) { _ in { _, _ in } }
                var record = Record()
                do {
                    try run.train { event in
                        guard case .step(let step) = event else { return }
                        record.steps.append(step)
                        if step.step == stop, place.rank == 0 { throw Stop() }
                    }
                } catch is Stop {} catch is RunStopped {}
                try sockets.leave()
                return record
            }.map { try $0.get() }
        }

        @Test("two GPUs that share the rows have the losses of one, the same bits every time, stopped or not")
        func ranks() throws {
            let expected = try train("one", on: .cuda)
            let found = try train("two", ranks: 2)
            // Weights in bfloat16 that a sum's rounding turns the other way.
            expectClose(found[0].steps.map(\.loss), expected.steps.map(\.loss), 0.03, "loss")
            expectClose(
                found[0].steps.map { $0.gradientNorm ?? .nan }, expected.steps.map { $0.gradientNorm ?? .nan }, 0.03,
                "gradient norm")
            #expect(found[0].steps.map(\.loss) == found[1].steps.map(\.loss))
            // Half of the masters and means each.
            let (own, alone) = (found[1].steps.last?.deviceBytes ?? .max, expected.steps.last?.deviceBytes ?? 0)
            #expect(own < alone)
            // Parts of masters and means in the host's memory.
            let elsewhere = try train("two-elsewhere", ranks: 2, memory: .host)
            #expect(try folder.student("two-elsewhere") == folder.student("two"))
            #expect(elsewhere[0].steps.last?.deviceBytes ?? .max < own)
            let start = try train("two-stopped", ranks: 2, stop: 10)
            let rest = try train("two-stopped", ranks: 2, resuming: true)
            #expect((start[0].steps + rest[0].steps).map(\.loss) == found[0].steps.map(\.loss))
            #expect(try folder.student("two-stopped") == folder.student("two"))
        }

        @Test("answers of recall rows that weigh more")
        func answers() throws {
            var configuration = configuration
            (configuration.length, configuration.data.recall, configuration.data.answerWeight) = (96, 0.5, 4)
            configuration.data.validationShare = 0.2
            configuration.stages = try StageConfiguration.list("distil=768,finetune=768")
            configuration.stages[0].teacherShare = 0.5
            var losses: [Device: [Double]] = [:]
            for (weight, device) in [(4.0, Device.cpu), (4, .cuda), (1, .cuda)] {
                configuration.data.answerWeight = weight
                let folder = try RunFolder(
                    path: path("\(device)\(weight)"), model: configuration.model, resuming: false)
                var found: [Double] = []
                try TrainingRun(configuration, folder: folder, resuming: false, device: device) { _ in { _, _ in } }
                    .train { if case .step(let step) = $0 { found.append(step.loss) } }
                if weight == 4 { losses[device] = found } else { #expect(found != losses[.cuda]) }
            }
            #expect(losses[.cpu]?.count == 8)
            expectClose(losses[.cuda] ?? [], losses[.cpu] ?? [], 0.02, "loss")
        }

        @Test("steps whose loss is not finite change nothing")
        func notFinite() throws {
            var configuration = configuration
            configuration.stages = try StageConfiguration.list("finetune=960")
            configuration.stages[0].schedule.course = .constant
            configuration.stages[0].schedule.peak = 1e38
            (configuration.patience, configuration.validation.every) = (3, 1000)
            var skipped: [Int] = []
            let error = #expect(throws: TrainingError.self) {
                let folder = try RunFolder(path: path("diverging"), model: configuration.model, resuming: false)
                try TrainingRun(configuration, folder: folder, resuming: false, device: .cuda) { _ in { _, _ in } }
                    .train {
                        if case .step(let step) = $0 { skipped.append(step.skipped) }
                    }
            }
            guard case .diverged(_, 3, _, _)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(skipped.last == 2)
        }
    }
}
