import Communication
import Foundation
import Support
import Tensors
import TestSupport
import Testing
import Training

/// A step is one stage's; whoever reads its rows.
@Suite("Ranks that train together", .serialized)
struct RankTests {
    /// Seven steps of 4 rows in every stage.
    private func tiny(_ stages: String = "align=448,distil=448,finetune=448") throws -> TinyRun {
        let tiny = try TinyRun(stages)
        tiny.eachStage { $0.sequences = 4 }
        tiny.configuration.validation.every = 5
        return tiny
    }

    private func expectClose(_ found: [Double], _ expected: [Double], _ tolerance: Double, _ what: String) {
        #expect(found.count == expected.count && !found.isEmpty, "\(what)")
        for (index, pair) in zip(found, expected).enumerated() {
            #expect(
                abs(pair.0 - pair.1) <= tolerance * abs(pair.1), "\(what) \(index): \(pair.0), expected \(pair.1)")
        }
    }

    /// Fails unless runs have the same losses, norms, measurements and students to rounding.
    private func expectClose(
        _ tiny: TinyRun, _ name: String, _ found: TinyRun.Record, to other: String, _ expected: TinyRun.Record
    ) throws {
        expectClose(found.losses, expected.losses, 2e-4, "\(name): loss")
        func norms(_ record: TinyRun.Record) -> [Double] { record.steps.map { $0.gradientNorm ?? .nan } }
        expectClose(norms(found), norms(expected), 2e-3, "\(name): norm")
        expectClose(found.measurements.map(\.loss), expected.measurements.map(\.loss), 1e-4, "\(name): measured")
        let (own, others) = (try tiny.parameters("\(name)/student"), try tiny.parameters("\(other)/student"))
        for (parameter, tensor) in own {
            let (a, b) = (try tensor.array(), try others[parameter]?.array() ?? [])
            let worst = zip(a, b).map { abs($0 - $1) }.max() ?? .infinity
            // Adam's steps of elements whose gradients are nearly 0 go by their signs.
            #expect(a.count == b.count && worst < 4e-3, "\(name): \(parameter) differs by \(worst)")
        }
    }

    @Test("have the losses, norms and students of one, and the same bits every time", arguments: [2, 4])
    func stages(_ ranks: Int) throws {
        let tiny = try tiny()
        let expected = try tiny.train("alone")
        let found = try tiny.train("together", ranks: ranks)
        #expect(expected.steps.count == 21)
        try expectClose(tiny, "together", found[0], to: "alone", expected)
        // Every rank is in the same state all the time, and one writes.
        for record in found {
            #expect(record.losses == found[0].losses)
            #expect(record.measurements.map(\.loss) == found[0].measurements.map(\.loss))
        }
        #expect(found.map { $0.saved.isEmpty } == [false] + Array(repeating: true, count: ranks - 1))
        let again = try tiny.train("again", ranks: ranks)
        #expect(again[0].losses == found[0].losses)
        for file in ["student", "best"] {
            #expect(
                try tiny.bytes("again/\(file)/model.safetensors") == tiny.bytes("together/\(file)/model.safetensors"))
        }
    }

    @Test("share batches where these cannot be divided, and rows that carry the state, whose answers weigh more")
    func shares() throws {
        let tiny = try tiny("distil=576@12,distil=768@16x3,finetune=768")
        (tiny.configuration.data.recall, tiny.configuration.data.answerWeight) = (0.3, 4)
        tiny.configuration.length = 96
        tiny.configuration.data.validationShare = 0.2
        for index in tiny.configuration.stages.indices {
            tiny.configuration.stages[index].sequences = [3, 2, 2][index]
            tiny.configuration.stages[index].accumulation = [2, 1, 1][index]
            tiny.configuration.stages[index].teacherShare = 0.5
        }
        let expected = try tiny.train("alone")
        let found = try tiny.train("together", ranks: 2)
        try expectClose(tiny, "together", found[0], to: "alone", expected)
    }

    @Test("choose heads once, and keep them all")
    func selection() throws {
        let tiny = try tiny("align=128,select=1,finetune=128")
        tiny.configuration.data.validationShare = 0.2
        let found = try tiny.train("together", ranks: 2)
        func selections(_ record: TinyRun.Record) -> [HeadSelection.Result] {
            record.events.compactMap { if case .selected(let result, _, _) = $0 { result } else { nil } }
        }
        // Each rank has tried some of what all have scored.
        let results = found.map(selections)
        #expect(results[0].count == 1 && results[0] == results[1])
        let own = try #require(results[0].first), alone = try #require(selections(tiny.train("alone")).first)
        #expect(own.chosen.map(\.kept) == alone.chosen.map(\.kept))
        for (own, other) in zip(own.rounds.joined(), alone.rounds.joined()) {
            #expect(own.layer == other.layer && own.head == other.head)
            #expect(abs(own.score.recall - other.score.recall) < 0.01 * other.score.recall)
        }
        #expect(found[0].losses == found[1].losses && found[0].isComplete)
    }

    @Test("go on after a stop bit for bit, and in another number to rounding, with a word")
    func resuming() throws {
        let tiny = try tiny("align=256,distil=768@16x4")
        tiny.eachStage { $0.sequences = 4 }
        let whole = try tiny.train("whole", ranks: 2)
        #expect(whole[0].steps.count == 16)
        // In the middle of long rows, whose state is carried on, and of the first stage.
        for (stop, name) in [(6, "middle"), (2, "early")] {
            let start = try tiny.train(name, ranks: 2, stopAtStep: stop)
            #expect(start.map(\.steps.count) == [stop, stop])
            let rest = try tiny.train(name, ranks: 2, resuming: true)
            #expect(start[0].losses + rest[0].losses == whole[0].losses)
            #expect(
                try tiny.bytes("\(name)/student/model.safetensors") == tiny.bytes("whole/student/model.safetensors"))
            #expect(rest.allSatisfy { $0.warnings == [] })
        }
        _ = try tiny.train("other", ranks: 2, stopAtStep: 2)
        let rest = try tiny.train("other", ranks: 4, resuming: true)
        #expect(rest[0].warnings.count == 1)
        #expect(rest[0].warnings[0].contains("saved by 2 ranks, resumed by 4: the same rows, in the same steps"))
        expectClose(rest[0].losses, Array(whole[0].losses.dropFirst(2)), 2e-3, "loss")
        _ = try tiny.train("refused", ranks: 2, stopAtStep: 6)
        let error = #expect(throws: TrainingError.self) { try tiny.train("refused", resuming: true) }
        #expect(error.map { "\($0)" }?.contains("expected as many ranks as it was saved by, 2") == true)
    }

    @Test("stop all when one was asked to")
    func stopping() throws {
        let tiny = try tiny("finetune=448")
        let found = try tiny.train("run", ranks: 3 + 1, stopAtStep: 3, by: 2)
        #expect(found.allSatisfy { $0.steps.count == 3 && !$0.isComplete })
        #expect(found[0].saved.last == 3)
    }

    @Test("refuse rows that they cannot share")
    func refusal() throws {
        var stage = StageConfiguration(.distil, tokens: 1000)
        (stage.sequences, stage.accumulation) = (4, 3)
        for ranks in [1, 2, 3, 4] {
            let shares = try (0..<ranks).map { try RowShare(stage, rank: $0, of: ranks) }
            #expect(shares.flatMap { $0.places(sequences: 4) }.sorted() == Array(0..<12))
            #expect(Set(shares.map { $0.rows.count * $0.batches.count }) == [12 / ranks])
        }
        let error = #expect(throws: TrainingError.self) { try RowShare(stage, rank: 0, of: 5) }
        #expect(
            error.map { "\($0)" }
                == "stage distil: sequences: expected rows of a batch, or batches of a step (accumulation), that 5 ranks "
                + "can share equally, found 4 and 3")
    }

    @Test("refuse to train with one that has another teacher")
    func otherTeacher() throws {
        let tiny = try tiny("finetune=448")
        let other = try TinyRun("finetune=448", mixer: "gla")
        other.eachStage { $0.sequences = 4 }
        let results = try tiny.attempt("run", ranks: 2) { rank, configuration in
            if rank == 1 { configuration.model = other.configuration.model }
        }
        for result in results {
            guard case .failure(let error) = result else {
                Issue.record("it trained")
                continue
            }
            #expect("\(error)".contains("rank 1 on "), "\(error)")
        }
    }
}

extension TinyRun {
    /// Trains into the folder `name` in as many threads as ranks.
    /// - Parameters:
    ///   - stop: the step at which to stop.
    ///   - rank: who is asked to.
    func train(
        _ name: String, ranks: Int, resuming: Bool = false, stopAtStep stop: Int? = nil, by rank: Int = 0
    ) throws -> [Record] {
        try attempt(name, ranks: ranks, resuming: resuming, stopAtStep: stop, by: rank).map { try $0.get() }
    }

    func attempt(
        _ name: String, ranks: Int, resuming: Bool = false, stopAtStep stop: Int? = nil, by asked: Int = 0,
        _ change: (Int, inout TrainingConfiguration) -> Void = { _, _ in }
    ) throws -> [Result<Record, any Error>] {
        let output = path(name)
        let all = try Launch.here(ranks).map { launch in
            var settings = resuming ? try RunFolder.configuration(output) : configuration
            change(launch.place.rank, &settings)
            return (launch.place, settings)
        }
        return onThreads(all) { place, configuration in
            let communicator = try SocketCommunicator(place, run: "run", version: "1")
            do {
                let record = try Self.train(
                    configuration, into: output, RunTeam(communicator), resuming: resuming,
                    stop: place.rank == asked ? stop : nil)
                try communicator.leave()
                return record
            } catch {
                communicator.leave(because: "\(error)")
                throw error
            }
        }
    }

    private static func train(
        _ configuration: TrainingConfiguration, into output: String, _ team: RunTeam, resuming: Bool, stop: Int?
    ) throws -> Record {
        let folder = try RunFolder(path: output, model: configuration.model, resuming: resuming, team: team)
        let run = try TrainingRun(configuration, folder: folder, resuming: resuming, team: team) { _ in { _, _ in } }
        var record = Record()
        do {
            try run.train { event in
                record.events.append(event)
                if case .step(let step) = event, step.step == stop { throw Stop() }
            }
        } catch is Stop {} catch is RunStopped {}
        return record
    }
}
