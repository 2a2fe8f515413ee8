import ArgumentParser
import Checkpoints
import Foundation
import Generation
import Models
import Tokenizers

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Continue a prompt, token by token.")

    @Argument(help: "A Hugging Face folder or a .gguf file.") var model: String
    @Option(help: "The text to continue.") var prompt: String
    @Option(help: "The most tokens to generate.") var maxTokens = 128
    @Option(help: "0 always takes the most likely token; higher values vary more.") var temperature: Float = 0
    @Option(help: "Sample among this many of the most likely tokens.") var topK: Int?
    @Option(help: "Sample among the most likely tokens that together have this probability.") var topP: Float = 1
    @Option(help: "Seed of the sampling.") var seed: UInt64 = 0
    @OptionGroup var weights: WeightOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard maxTokens >= 0 else { throw ValidationError("--max-tokens: expected 0 or more, found \(maxTokens).") }
    }

    func run() throws {
        var sampler = try Sampler(temperature: temperature, topK: topK, topP: topP, seed: seed)
        let (model, tokenizer) = try weights.load(self.model)
        let tokens = tokenizer.encode(prompt)
        let session = try GenerationSession(model)
        let stops = Set(
            model.configuration.decoder.eosTokens.map { Int32(truncatingIfNeeded: $0) }
                + (tokenizer.eosToken.map { [$0] } ?? []))

        let reading = ContinuousClock.now
        let bar = ProgressBar("reading", total: tokens.count, unit: .tokens)
        defer { bar.finish() }
        try session.read(tokens) { try bar.update($0, of: $1) }
        bar.finish()
        let readSeconds = reading.duration(to: .now) / .seconds(1)

        if !output.json { write(prompt) }
        var text = ""
        var decoder = StreamingDecoder(tokenizer)
        func show(_ piece: String) {
            text += piece
            if !output.json { write(piece) }
        }
        let start = ContinuousClock.now
        let count = try session.generate(limit: maxTokens, sampler: &sampler, stops: stops) { token in
            show(try decoder.push(token))
            try Interrupt.check()
        }
        show(decoder.finish())
        let seconds = start.duration(to: .now) / .seconds(1)
        // The first token comes from reading the prompt; the others are a step each.
        let stepRate = count > 1 ? Double(count - 1) / seconds : 0

        if output.json {
            return output.print([
                "prompt": .string(prompt), "text": .string(text), "prompt_tokens": .integer(tokens.count),
                "tokens": .integer(count), "prompt_tokens_per_second": .number(Double(tokens.count) / readSeconds),
                "tokens_per_second": .number(stepRate), "state_bytes": .integer(session.state.byteCount),
                "context": .integer(session.state.position), "peak_memory_bytes": .integer(peakMemory()),
            ])
        }
        write("\n")
        let rates = String(
            format: "prompt %.0f tok/s, generation %.1f tok/s", Double(tokens.count) / readSeconds, stepRate)
        Terminal.error("\(tokens.count) + \(count) tokens: \(rates), state \(megabytes(session.state.byteCount))")
    }

    private func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}
