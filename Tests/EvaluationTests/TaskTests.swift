import Checkpoints
import Evaluation
import Foundation
import TestSupport
import Testing
import Text
import Tokenizers

@Suite("Tasks")
struct TaskTests {
    private func groups(_ task: EvaluationTask, _ change: (inout EvaluationTask.Options) -> Void) throws
        -> [ExampleGroup]
    {
        var options = EvaluationTask.Options()
        change(&options)
        return try task.groups(options, tokenizer: englishTokenizer())
    }

    @Test("recall and needle can be answered from their contexts", arguments: [EvaluationTask.recall, .needle])
    func answerable(_ task: EvaluationTask) throws {
        let tokenizer = try englishTokenizer()
        let groups = try groups(task) { ($0.lengths, $0.limit) = ([400, 900], 4) }
        #expect(groups.count == (task == .needle ? 10 : 2))
        for group in groups {
            let result = try group.evaluate(LookUp(tokenizer: tokenizer), tokenizer: tokenizer)
            #expect(result.examples == 4)
            #expect(result.metrics.map(\.value) == [1, 1], "\(group.label)")
        }
    }

    @Test("contexts are nearly as long as asked for, and depend on the seed alone")
    func contexts() throws {
        let tokenizer = try englishTokenizer()
        for task in [EvaluationTask.recall, .needle] {
            func prompts(_ seed: UInt64) throws -> [Prompt] {
                let recorder = Recorder()
                for group in try groups(task, { ($0.lengths, $0.limit, $0.seed) = ([700], 2, seed) }) {
                    _ = try group.evaluate(recorder, tokenizer: tokenizer)
                }
                return recorder.prompts
            }
            let first = try prompts(0)
            #expect(try prompts(0) == first)
            #expect(try prompts(1) != first)
            #expect(first.allSatisfy { (650...700).contains($0.context.count) }, "\(first.map(\.context.count))")
        }
    }

    @Test("the needle stands where it should")
    func depth() throws {
        let (folder, tokenizer, recorder) = (try TemporaryFolder(), try englishTokenizer(), Recorder())
        try folder.write("filler.txt", (0..<100).map { "This is sentence number \($0).\n" }.joined())
        let groups = try groups(.needle) {
            ($0.data, $0.lengths, $0.depths, $0.limit) = (folder.path, [600], [0, 50, 100], 1)
        }
        for group in groups { _ = try group.evaluate(recorder, tokenizer: tokenizer) }
        for (prompt, depth) in zip(recorder.prompts, [0, 0.5, 1]) {
            let context = try tokenizer.decode(prompt.context, skipSpecialTokens: false)
            #expect(context.contains("This is sentence number"))
            let needle = try #require(context.range(of: " The pass key is "))
            let before = context[..<needle.lowerBound].count
            #expect(abs(Double(before) / Double(context.count) - depth) < 0.06, "\(before) of \(context.count)")
        }
    }

    @Test("contexts that are too short are refused")
    func short() throws {
        let tokenizer = try englishTokenizer()
        for task in [EvaluationTask.recall, .needle] {
            let group = try groups(task) { $0.lengths = [40] }[0]
            #expect(throws: EvaluationError.self) { try group.evaluate(Recorder(), tokenizer: tokenizer) }
        }
    }

    @Test("question files: what is asked, and how it is split")
    func questions() throws {
        let (folder, tokenizer, recorder) = (try TemporaryFolder(), try englishTokenizer(), Recorder())
        try folder.write(
            "piqa_val.jsonl",
            """
            {"context": "Question: boil water\\nAnswer:", "choices": [" use a pot", " use a hat"], "gold": 0}\r

            {"context": "Question: ice \\nAnswer: ", "choices": ["cold", "hot"], "gold": 1}
            """)
        try folder.write("lambada_openai.jsonl", "{\"context\": \"The old man and the\", \"continuation\": \"sea\"}\n")
        for task in [EvaluationTask.piqa, .lambada] {
            for group in try groups(task, { $0.data = folder.path }) {
                _ = try group.evaluate(recorder, tokenizer: tokenizer)
            }
        }
        let texts = try recorder.prompts.map { prompt in
            try prompt.continuations.map { continuation -> [String] in
                let (asked, scored) = (
                    continuation.tokens.dropLast(continuation.scored), continuation.tokens.suffix(continuation.scored)
                )
                #expect(prompt.context.starts(with: tokenizer.textPrefix))
                let context = prompt.context.dropFirst(tokenizer.textPrefix.count)
                return try [Array(context), Array(asked), Array(scored)].map {
                    try tokenizer.decode($0, skipSpecialTokens: false)
                }
            }
        }
        #expect(
            texts == [
                [
                    ["Question: boil water\nAnswer:", "", " use a pot"],
                    ["Question: boil water\nAnswer:", "", " use a hat"],
                ],
                // White space at the end of a context goes to the continuation.
                [["Question: ice \nAnswer:", "", " cold"], ["Question: ice \nAnswer:", "", " hot"]],
                [["The old man and the", "", " sea"]],
            ])
    }

    @Test(
        "a wrong line is named",
        arguments: [
            ("{\"context\": \"a\", \"choices\": [\" b\"], \"gold\": 0}", "choices"),
            ("{\"context\": \"a\", \"choices\": [\" b\", \"\"], \"gold\": 0}", "choices"),
            ("{\"context\": \"a\", \"choices\": [\" b\", 3], \"gold\": 0}", "choices"),
            ("{\"context\": \"a\", \"choices\": [\" b\", \" c\"], \"gold\": 2}", "from 0 to 1, found 2"),
            ("{\"context\": \" \", \"choices\": [\" b\", \" c\"], \"gold\": 1}", "context"),
            ("{\"choices\": [\" b\", \" c\"], \"gold\": 1}", "no such key"), ("[1]", "an array of 1"), ("{", "byte"),
        ])
    func wrongLine(_ line: String, _ part: String) throws {
        let folder = try TemporaryFolder()
        let right = "{\"context\": \"a\", \"choices\": [\" b\", \" c\"], \"gold\": 1}"
        try folder.write("piqa_val.jsonl", "\(right)\n\(line)\n")
        do {
            _ = try groups(.piqa) { $0.data = folder.path }
            Issue.record("nothing was thrown")
        } catch {
            #expect("\(error)".contains("piqa_val.jsonl:2:"))
            #expect("\(error)".contains(part), "\(error)")
        }
        #expect(try groups(.piqa) { ($0.data, $0.limit) = (folder.path, 1) }[0].count == 1)
    }

    @Test("questions may be compressed")
    func compressedQuestions() throws {
        let folder = try TemporaryFolder()
        let lines = (0..<3).map { "{\"context\": \"a\($0)\", \"choices\": [\" b\", \" c\"], \"gold\": 1}\n" }.joined()
        try folder.write("piqa_val.jsonl.gz", gzipped(lines.utf8))
        #expect(try groups(.piqa) { $0.data = folder.path }[0].count == 3)
    }

    @Test("fillers of every format that data has")
    func fillers() throws {
        let tokenizer = try englishTokenizer()
        func prompts(_ name: String, _ bytes: some Collection<UInt8>, key: String = "text") throws -> [Prompt] {
            let (folder, recorder) = (try TemporaryFolder(), Recorder())
            try folder.write(name, bytes)
            let needles = try groups(.needle) {
                ($0.data, $0.lengths, $0.depths, $0.limit) = (folder.path, [300], [50], 1)
                $0.reading.textKey = key
            }
            for group in needles { _ = try group.evaluate(recorder, tokenizer: tokenizer) }
            return recorder.prompts
        }
        let parts = (0..<20).map { "This is sentence number \($0). Another one." }
        let text = try prompts("filler.txt", parts.joined(separator: "\n\n").utf8)
        #expect(try tokenizer.decode(text[0].context).contains("sentence number"))
        let lines = parts.map { "{\"text\": \"\($0)\"}\n" }.joined()
        #expect(try prompts("filler.jsonl", lines.utf8) == text)
        #expect(
            try prompts("filler.ndjson.gz", gzipped(lines.replacing("text", with: "body").utf8), key: "body") == text)
        #expect(try prompts("filler.txt.gz", gzipped(parts.joined(separator: "\r\n\r\n").utf8)) == text)
        #expect(throws: DataError.self) { try prompts("filler.jsonl", lines.utf8, key: "body") }
    }

    @Test("files that are missing or empty")
    func noFile() throws {
        let folder = try TemporaryFolder()
        #expect(throws: EvaluationError.self) { try groups(.piqa) { $0.data = folder.path } }
        try folder.write("piqa_val.jsonl", "\n")
        #expect(throws: EvaluationError.noQuestions(file: "\(folder.path)/piqa_val.jsonl")) {
            try groups(.piqa) { $0.data = folder.path }
        }
    }
}

/// Keeps the prompts, and finds all continuations equally likely.
final class Recorder: ContinuationScorer, NoContinuer {
    private(set) var prompts: [Prompt] = []

    func scores(_ prompts: [Prompt], progress: () throws -> Void) throws -> [[ContinuationScore]] {
        self.prompts += prompts
        return prompts.map { $0.continuations.map { _ in ContinuationScore(logLikelihood: -1, isGreedy: false) } }
    }
}
