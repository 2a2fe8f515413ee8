import Checkpoints
import Foundation
import Records
import Support
import TestSupport
import Testing

@Suite("metrics.jsonl")
struct MetricsLogTests {
    private func step(_ step: Int) -> MetricsEvent {
        .step(
            .init(
                step: step, stage: "distil", stageStep: step, tokens: 1024 * step, loss: 1 / Double(step + 1),
                learningRate: 3e-4, gradientNorm: step == 2 ? nil : 0.5, tokensPerSecond: 312.5, skipped: 1,
                seconds: 3.25))
    }

    private func start(resumedFrom step: Int? = nil) -> MetricsEvent {
        .start(
            .init(
                version: "0.1.0", time: Date(timeIntervalSince1970: 1_767_225_600),
                stages: [
                    .init(name: "align", tokens: 100, steps: 3, sequences: 2, length: step.map { _ in 64 })
                ], sequenceLength: 512,
                recallShare: step == nil ? 0 : 0.15,
                parameters: 1000, trainedParameters: 10, teacher: .init(name: "a \"teacher\"\n", perplexity: 19.5),
                resumedFrom: step))
    }

    private var events: [MetricsEvent] {
        [
            start(),
            .memory(.init(teacher: .init(constant: 0, perToken: 46_080), student: .init(constant: 5_000, perToken: 0))),
            .validation(.init(step: 0, stage: "align", tokens: 0, loss: 4.25, isBest: true)),
            .recall(
                .init(
                    step: 0, chance: 0.1,
                    answers: [
                        .init(length: 256, questions: 20, student: 0.15, teacher: 0.75),
                        .init(length: 512, questions: 20, student: 0.05, teacher: nil),
                    ])),
            .notice(.init(.init(step: 1, stage: "align", kind: .rise, text: "a \"text\""))),
            step(1), step(2), .alignment(.init(step: 2, layers: [0.5, nil, 0.25])),
            .positions(.init(step: 2, ranges: [0..<16, 16..<32], teacher: [30, 20.5], student: [31, 25])),
            .positions(.init(step: 2, ranges: [0..<16], teacher: nil, student: [31])),
            .stageEnd(.init(step: 2, stage: "align")), .end(.init(step: 2, reason: "stopped")), start(resumedFrom: 2),
        ]
    }

    @Test("every event is read as it was written")
    func roundTrip() throws {
        let folder = try TemporaryFolder()
        let log = try MetricsLog(path: "\(folder.path)/metrics.jsonl", keepingStepsUpTo: nil)
        for event in events {
            try log.append(event)
            // Each line is in the file at once.
            #expect(try MetricsLog.events(path: log.path).last == event)
        }
        #expect(try MetricsLog.events(path: log.path) == events)
    }

    @Test("the lines are the documented ones")
    func lines() {
        #expect(
            JSONValue.object(step(2).json).text()
                == #"{"event":"step","step":2,"stage":"distil","stage_step":2,"tokens":2048,"loss":0.3333333333333333,"#
                + #""learning_rate":0.0003,"gradient_norm":null,"tokens_per_second":312.5,"skipped":1,"seconds":3.25}"#)
        #expect(
            JSONValue.object(start().json).text()
                == #"{"event":"start","moult":"0.1.0","time":"2026-01-01T00:00:00Z","stages":[{"name":"align","#
                + #""tokens":100,"steps":3,"sequences":2}],"sequence_length":512,"parameters":1000,"#
                + #""trained_parameters":10,"teacher":{"name":"a \"teacher\"\n","perplexity":19.5}}"#)
        #expect(
            JSONValue.object(events[1].json).text()
                == #"{"event":"memory","teacher":{"constant_bytes":0,"bytes_per_token":46080},"#
                + #""student":{"constant_bytes":5000,"bytes_per_token":0}}"#)
        #expect(
            JSONValue.object(events[8].json).text()
                == #"{"event":"positions","step":2,"ranges":[[0,16],[16,32]],"teacher":[30.0,20.5],"student":[31.0,25.0]}"#
        )
    }

    @Test("a loss that is not finite is null in the file and NaN when it is read")
    func notFinite() throws {
        let folder = try TemporaryFolder()
        let log = try MetricsLog(path: "\(folder.path)/metrics.jsonl", keepingStepsUpTo: nil)
        try log.append(.validation(.init(step: 1, stage: "align", tokens: 1, loss: .infinity, isBest: false)))
        guard case .validation(let read) = try #require(MetricsLog.events(path: log.path).first) else {
            Issue.record("not a validation")
            return
        }
        #expect(read.loss.isNaN && read.perplexity.isNaN)
    }

    @Test("a run that goes on takes out what came after its step, and half a line")
    func cutting() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/metrics.jsonl"
        var log: MetricsLog? = try MetricsLog(path: path, keepingStepsUpTo: nil)
        let later: [MetricsEvent] = [
            step(3), .validation(.init(step: 3, stage: "distil", tokens: 3072, loss: 2, isBest: false)),
            .alignment(.init(step: 4, layers: [0.1])), .end(.init(step: 4, reason: "stopped")), start(resumedFrom: 4),
        ]
        for event in events + later { try log?.append(event) }
        log = nil
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        try (whole + Data(#"{"event":"step","st"#.utf8)).write(to: URL(fileURLWithPath: path))
        #expect(try MetricsLog.events(path: path) == events + later)

        let resumed = try MetricsLog(path: path, keepingStepsUpTo: 2)
        #expect(try MetricsLog.events(path: path) == events)
        // What is kept is kept to the byte.
        let kept = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(whole.starts(with: kept))
        try resumed.append(step(3))
        #expect(try MetricsLog.events(path: path) == events + [step(3)])
        #expect(folder.contents == ["metrics.jsonl"])
    }

    @Test("a new run does not touch the log of another")
    func existing() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("metrics.jsonl", "precious\n")
        #expect(throws: MetricsError.unwritable(file: path, reason: "File exists")) {
            try MetricsLog(path: path, keepingStepsUpTo: nil)
        }
        // Nor is a file cut that is no log.
        #expect(throws: MetricsError.self) { try MetricsLog(path: path, keepingStepsUpTo: 1) }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious\n")
    }

    @Test(
        "lines that Moult did not write",
        arguments: [
            (#"[1]"#, "JSON value of another kind"), (#"{"event":"step""#, "unexpected end"),
            (#"{"event":"end","event":"end"}"#, #""event" appears twice"#),
            (#"{"step":1}"#, "event: expected a string, found nothing"),
            (#"{"event":"weather"}"#, #"found "weather""#),
            (#"{"event":"end","step":-1,"reason":""}"#, "step: expected an integer of at least 0, found -1"),
            (#"{"event":"end","step":1.5,"reason":""}"#, "found 1.5"), (#"{"event":"end","step":1}"#, "reason"),
            (#"{"event":"memory","student":{"constant_bytes":1}}"#, "student.bytes_per_token"),
            (#"{"event":"alignment","step":1,"layers":[0.5,"x"]}"#, "layers"),
            (#"{"event":"positions","step":1,"ranges":[[16,0]],"student":[1]}"#, "ranges"),
            (#"{"event":"positions","step":1,"ranges":[[0,16,32]],"student":[1]}"#, "ranges"),
            (#"{"event":"positions","step":1,"ranges":[[0,16]],"student":[1,2]}"#, "student: expected 1 perplexities"),
            (#"{"event":"start","moult":"1","time":"yesterday"}"#, "time"),
            (
                #"{"event":"start","moult":"1","time":"2026-01-01T00:00:00Z","stages":[{"name":"a"}]}"#,
                "stages[0].tokens"
            ),
            ("{\"event\":\"\u{1}\"}", "control character"), ("", "unexpected end"),
        ])
    func refused(line: String, part: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("metrics.jsonl", #"{"event":"stage_end","step":1,"stage":"align"}"# + "\n\(line)\n")
        let error = try #require(throws: MetricsError.self) { try MetricsLog.events(path: path) }
        #expect("\(error)".hasPrefix("\(path):2: "), "\(error)")
        #expect("\(error)".contains(part), "\(error)")
    }

    @Test("bytes changed at random never trap")
    func mutations() throws {
        let folder = try TemporaryFolder()
        let log = try MetricsLog(path: "\(folder.path)/metrics.jsonl", keepingStepsUpTo: nil)
        for event in events { try log.append(event) }
        let bytes = try Data(contentsOf: URL(fileURLWithPath: log.path))
        var random = SystemRandomNumberGenerator()
        var refused = 0
        for _ in 0..<500 {
            var changed = bytes
            changed[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            let path = try folder.write("changed.jsonl", changed)
            do { _ = try MetricsLog.events(path: path) } catch is MetricsError { refused += 1 }
        }
        #expect(refused > 100)
    }

    @Test func unreadable() throws {
        let folder = try TemporaryFolder()
        #expect(throws: MetricsError.unreadable(file: "\(folder.path)/none", reason: "No such file or directory")) {
            try MetricsLog.events(path: "\(folder.path)/none")
        }
        #expect(throws: MetricsError.unreadable(file: folder.path, reason: "it is not a regular file")) {
            try MetricsLog.events(path: folder.path)
        }
    }
}
