import Foundation
import Records
import Reports
import Testing
import Training

@Suite("The record of a run")
struct RecorderTests {
    /// The steps of a record with their losses, and its other events by kind.
    private func lines(_ run: TinyRun) throws -> (steps: [Double], kinds: [String]) {
        let events = try MetricsLog.events(path: run.path("run/metrics.jsonl"))
        let steps: [Double] = events.compactMap { if case .step(let step) = $0 { step.loss } else { nil } }
        let kinds = events.compactMap { event -> String? in
            switch event {
            case .start(let start): "start \(start.resumedFrom.map(String.init) ?? "new")"
            case .memory: "memory"
            case .validation(let it): "validation \(it.step)"
            case .notice(let it): "\(it.notice.kind)"
            case .recall(let it): "recall \(it.answers.count)"
            case .positions(let it): "positions \(it.ranges.count) \(it.teacher?.count ?? 0)"
            case .stageEnd(let it): "end of \(it.stage)"
            case .selection(let it): "selection \(it.chosen.count) of \(it.rounds.count)"
            case .end(let it): it.reason
            case .plan, .step, .alignment: nil
            }
        }
        return (steps, kinds)
    }

    @Test("holds what the run told, the teacher's measure, and the cost of both states")
    func complete() throws {
        let run = try TinyRun("align=64,distil=64")
        let record = try run.train()
        let found = try lines(run)
        #expect(found.steps == record.losses)
        // Rows of 16 tokens are one range of positions.
        #expect(
            found.kinds == [
                "start new", "memory", "validation 0", "validation 2", "end of align", "validation 4",
                "positions 1 1", "end of distil", "complete",
            ])
        guard case .start(let start)? = try MetricsLog.events(path: run.path("run/metrics.jsonl")).first else {
            Issue.record("no start")
            return
        }
        #expect(start.stages.map(\.steps) == [2, 2] && start.sequenceLength == 16)
        #expect(start.trainedParameters == start.parameters)
        #expect(try #require(start.teacher?.perplexity) > 1)
        let board = try FileManager.default.contentsOfDirectory(atPath: run.path("run/tensorboard"))
        #expect(board.count == 1 && board[0].hasPrefix("events.out.tfevents."))
    }

    @Test("of a resumed run holds every step once")
    func resumed() throws {
        let run = try TinyRun("align=160")
        let whole = try run.train("whole")
        try run.train(stop: 4)
        try run.train(resuming: true)
        let found = try lines(run)
        #expect(found.steps == whole.losses)
        #expect(found.kinds.contains { $0.hasPrefix("start ") && $0 != "start new" })
        #expect(found.kinds.contains("stopped") && found.kinds.last == "complete")
    }

    @Test("makes a report")
    func report() throws {
        let run = try TinyRun("align=64,finetune=32")
        try run.train()
        let page = run.path("report.html")
        try RunReport(folder: run.path("run")).write(to: page)
        let text = try String(contentsOfFile: page, encoding: .utf8)
        for part in ["align", "finetune", "<svg", "Memory"] { #expect(text.contains(part), "\(part)") }
    }
}
