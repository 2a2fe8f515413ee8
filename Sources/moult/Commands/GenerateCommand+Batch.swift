import ArgumentParser
import Checkpoints
import Foundation
import Generation
import Models
import Support
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
        let batch = try BatchGenerator(model, capacity: min(self.batch, prompts.count))
        let stops = tokenizer.stops(model.configuration.decoder.eosTokens)
            .union(try sampling.stopStrings().tokens(tokenizer))
        let base = try sampling.sampler(tokenizer)
        var results: [Result] = []
        for (index, prompt) in prompts.enumerated() {
            var sampler = base
            // A stream of random numbers of its own for each, whatever runs beside it.
            sampler.generatorState = base.generatorState &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15
            let tokens = try tokenizer.encode(prompt)
            _ = try batch.add(.init(prompt: tokens, sampler: sampler, limit: maxTokens, stops: stops))
            results.append(
                Result(prompt: prompt, text: GeneratedText(tokenizer, strings: try sampling.stopStrings())))
        }
        let bar = ProgressBar("generating", total: prompts.count, unit: .items)
        defer { bar.finish() }
        let start = ContinuousClock.now
        var (printed, tokens) = (0, 0)
        func show(_ piece: String, of id: Int) throws {
            if jsonLines, !piece.isEmpty { try printLine(["index": .integer(id), "text": .string(piece)]) }
        }
        func end(_ id: Int) throws {
            if jsonLines { try printLine(results[id].totals(index: id)) }
        }
        while !batch.isEmpty {
            for event in try batch.advance() {
                switch event {
                case .token(let id, let token):
                    tokens += 1
                    try show(results[id].push(token), of: id)
                    if results[id].end != nil {
                        batch.cancel(id)
                        try end(id)
                    }
                case .finished(let id, let reason):
                    guard results[id].end == nil else { break }
                    try show(results[id].finish(reason), of: id)
                    try end(id)
                }
            }
            while printed < results.count, let line = results[printed].line(index: printed) {
                if !jsonLines { try Output.text(line + "\n") }
                results[printed] = results[printed].released
                printed += 1
            }
            let seconds = start.duration(to: .now) / .seconds(1)
            try bar.update(printed, note: String(format: "%.0f tok/s", Double(tokens) / seconds))
        }
        bar.finish()
        let seconds = start.duration(to: .now) / .seconds(1)
        Terminal.note(
            "\(prompts.count) prompts, \(grouped(tokens)) tokens generated: "
                + String(format: "%.0f tok/s with the prompts' reading, ", Double(tokens) / seconds)
                + "\(batch.capacity) at once")
    }

    /// What has come of one prompt.
    private struct Result {
        let prompt: String
        var text: GeneratedText?
        var generated = ""
        var tokens = 0
        /// Why it ended; nil while it goes on.
        var end: TextContinuation.End?
        var isDamaged = false

        /// - Returns: the text that is certain now.
        mutating func push(_ token: Int32) throws -> String {
            tokens += 1
            let piece = try text?.push(token) ?? ""
            generated += piece
            if text?.isStopped == true { end = .stopString }
            return piece
        }

        /// - Returns: the rest of the text.
        mutating func finish(_ reason: BatchGenerator.FinishReason) -> String {
            guard end == nil else { return "" }
            let rest = text?.finish() ?? ""
            generated += rest
            isDamaged = reason == .nonFinite
            end = text?.isStopped == true ? .stopString : reason == .stop ? .stopToken : .limit
            return rest
        }

        /// The finished result as a line of JSON.
        func line(index: Int) -> String? {
            guard end != nil else { return nil }
            var object: JSONObject = [
                "index": .integer(index), "prompt": .string(prompt), "text": .string(generated),
            ]
            for (key, value) in totals(index: index).pairs where key != "index" { object[key] = value }
            return JSONValue.object(object).text()
        }

        /// What is said at the end of its text.
        func totals(index: Int) -> JSONObject {
            var object: JSONObject = [
                "index": .integer(index), "tokens": .integer(tokens), "end": .string(end?.rawValue ?? ""),
            ]
            if isDamaged { object["error"] = .string(GenerationError.nonFiniteLogits.description) }
            return object
        }

        /// Nothing is kept of what was printed.
        var released: Result { Result(prompt: "") }
    }
}
