import ArgumentParser
import Checkpoints
import Foundation
import Generation
import Models
import Support
import Synchronization
import Text
import Tokenizers

/// Prompts of a file: the "prompt" of every line of a .jsonl file, or every line that is not empty.
struct PromptList {
    let prompts: [String]

    init(path: String) throws {
        let bare = [".zst", ".gz"].first { path.hasSuffix($0) }.map { path.dropLast($0.count) } ?? path[...]
        let prompts =
            bare.hasSuffix(".jsonl") || bare.hasSuffix(".ndjson")
            ? try Self.lines(path)
            : try TextFile.read(path).split(separator: "\n").filter { !$0.allSatisfy(\.isWhitespace) }.map(String.init)
        guard !prompts.isEmpty else { throw ValidationError("\(path): expected at least one prompt, found none.") }
        self.prompts = prompts
    }

    private static func lines(_ path: String) throws -> [String] {
        var lines = try JSONLines(path: path)
        var prompts: [String] = []
        while let value = try next(&lines, path) {
            guard let prompt = value["prompt"]?.stringValue, !prompt.isEmpty else {
                throw ValidationError(
                    "\(path):\(lines.line): expected an object with a string \"prompt\", found \(value.summary).")
            }
            prompts.append(prompt)
        }
        return prompts
    }

    private static func next(_ lines: inout JSONLines, _ path: String) throws -> JSONValue? {
        do { return try lines.next() } catch DataError.json(_, let line, let offset, let problem) {
            throw Failure("\(path):\(line): not valid JSON at byte \(offset): \(problem).")
        }
    }
}

extension GenerateCommand {
    /// Continues all prompts of a file, `batch` at once, and prints a JSON line for each, in the order of the file; with
    /// --json-lines one for each part of a text, as it comes.
    func generateAll(_ path: String, _ model: DecoderModel, _ tokenizer: Tokenizer) throws {
        let prompts = try PromptList(path: path).prompts
        var options = SchedulerOptions()
        (options.batch, options.queue, options.reuse) = (min(batch, prompts.count), prompts.count, .exact)
        let scheduler = try Scheduler(model, tokenizer: tokenizer, options: options)
        let strings = try sampling.stopStrings()
        let stops = tokenizer.stops(model.configuration.decoder.eosTokens).union(strings.tokens(tokenizer))
        let base = try sampling.sampler(tokenizer)
        let events = try scheduler.submit(
            prompts.enumerated().map { index, prompt in
                var sampler = base
                // A stream of random numbers of its own for each, whatever runs beside it.
                sampler.generatorState = base.generatorState &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15
                var request = SequenceRequest(
                    prompt: try tokenizer.encode(prompt), samplers: [sampler], limit: maxTokens, strings: strings)
                request.stops = stops
                return request
            })
        let output = BatchOutput(prompts, jsonLines: jsonLines)
        try waiting {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, events) in events.enumerated() {
                    group.addTask { for try await event in events { try output.take(event, of: index) } }
                }
                try await group.waitForAll()
            }
        }
        output.finish(atOnce: options.batch)
    }
}

/// Prints what comes of many prompts, from whatever thread it comes.
private final class BatchOutput: Sendable {
    private struct State {
        var results: [Result]
        var printed = 0
        var tokens = 0
        // Not Sendable by itself; used under the lock alone.
        let bar: ProgressBar
    }

    private let jsonLines: Bool
    private let start = ContinuousClock.now
    private let state: Mutex<State>

    init(_ prompts: [String], jsonLines: Bool) {
        self.jsonLines = jsonLines
        state = Mutex(
            State(
                results: prompts.map { Result(prompt: $0) },
                bar: ProgressBar("generating", total: prompts.count, unit: .items)))
    }

    func take(_ event: SequenceEvent, of index: Int) throws {
        try state.withLock { state in
            switch event {
            case .reading, .read: return
            case .token(_, _, let text, _):
                state.tokens += 1
                state.results[index].tokens += 1
                try show(text, of: index, &state)
            case .finished(_, let ending, let text):
                try show(text, of: index, &state)
                state.results[index].end = ending.reason
                if jsonLines { try Output.text(JSONValue.object(state.results[index].totals(index)).text() + "\n") }
            }
            while state.printed < state.results.count, let line = state.results[state.printed].line(state.printed) {
                if !jsonLines { try Output.text(line + "\n") }
                // Nothing is kept of what was printed.
                state.results[state.printed] = Result(prompt: "")
                state.printed += 1
            }
            try state.bar.update(state.printed, note: String(format: "%.0f tok/s", Double(state.tokens) / seconds))
        }
    }

    /// Says what it was in all.
    func finish(atOnce batch: Int) {
        state.withLock { state in
            state.bar.finish()
            Terminal.note(
                "\(state.printed) prompts, \(grouped(state.tokens)) tokens generated: "
                    + String(format: "%.0f tok/s with the prompts' reading, ", Double(state.tokens) / seconds)
                    + "\(batch) at once")
        }
    }

    private var seconds: Double { start.duration(to: .now) / .seconds(1) }

    private func show(_ text: String, of index: Int, _ state: inout State) throws {
        guard !text.isEmpty else { return }
        if jsonLines {
            let object: JSONObject = ["index": .integer(index), "text": .string(text)]
            try Output.text(JSONValue.object(object).text() + "\n")
        } else {
            state.results[index].text += text
        }
    }

    /// What has come of one prompt.
    private struct Result {
        let prompt: String
        var text = ""
        var tokens = 0
        /// Why it ended; nil while it goes on.
        var end: SequenceEvent.Ending.Reason?

        /// The finished result as a line of JSON.
        func line(_ index: Int) -> String? {
            guard end != nil else { return nil }
            var object: JSONObject = ["index": .integer(index), "prompt": .string(prompt), "text": .string(text)]
            for (key, value) in totals(index).pairs where key != "index" { object[key] = value }
            return JSONValue.object(object).text()
        }

        /// What is said at the end of its text.
        func totals(_ index: Int) -> JSONObject {
            let isDamaged = end == .nonFinite
            var object: JSONObject = [
                "index": .integer(index), "tokens": .integer(tokens),
                "end": .string((isDamaged ? .limit : end)?.rawValue ?? ""),
            ]
            if isDamaged { object["error"] = .string(GenerationError.nonFiniteLogits.description) }
            return object
        }
    }
}
