import ArgumentParser
import Checkpoints
import Foundation
import Generation
import Tokenizers

/// How a command chooses tokens, and where its text ends.
struct SamplingArguments: ParsableArguments {
    @Option(
        name: [.long, .customLong("temp")],
        help: """
            0 always takes the most likely token; higher values vary more. (default: in a conversation as the model's \
            generation_config.json says, like all of sampling, else 0.7; otherwise 0)
            """)
    var temperature: Float?
    @Option(help: "Sample among this many of the most likely tokens.") var topK: Int?
    @Option(help: "Sample among the most likely tokens that together have this probability.") var topP: Float?
    @Option(help: "Sample among tokens with at least this share of the most likely one's probability.")
    var minP: Float?
    @Option(
        name: [.long, .customLong("repeat-penalty")],
        help: "Make tokens that were seen lately less likely: 1 not at all, 1.3 strongly.")
    var repetitionPenalty: Float?
    @Option(name: [.long, .customLong("repeat-last-n")], help: "How many of the last tokens count as seen lately.")
    var repetitionWindow = 256
    @Option(
        help: ArgumentHelp(
            "Add to the logit of a token, given as its id or as text that is one token; -inf forbids it. Repeatable.",
            valueName: "token=value"))
    var logitBias: [String] = []
    @Option(help: "End the text just before this string. Repeatable.") var stop: [String] = []
    @Option(
        name: [.long, .customShort("s")], help: "Seed of the sampling. (default: 0; of a conversation drawn and shown)")
    var seed: UInt64?

    /// Checks what can be checked without a tokenizer.
    func check() throws {
        do {
            _ = try options()
            _ = try stopStrings()
        } catch let error as GenerationError {
            // What is thrown while options are checked is said as it is.
            throw Failure(FlagWords.text(of: error))
        }
    }

    /// - Parameter defaults: what is taken where no option says otherwise.
    func sampler(_ tokenizer: Tokenizer, defaults: SamplingDefaults = .greedy) throws -> Sampler {
        let biases = try logitBias.map { try bias($0, tokenizer) }
        return Sampler(try options(Dictionary(biases) { $1 }, defaults), seed: seed ?? 0)
    }

    /// How answers are sampled of which a model's makers say nothing: near the defaults of llama.cpp (0.8, top-k 40, top-p
    /// 0.95, min-p 0.05) and Ollama (0.8, top-k 40, top-p 0.9), and a little closer to the most likely token.
    static let conversation = SamplingDefaults(temperature: 0.7, topP: 0.9)

    /// What a model's makers recommend; nil without a word of theirs.
    static func recommended(_ files: ModelFiles) throws -> SamplingDefaults? {
        try files.generationConfiguration().flatMap { SamplingDefaults($0) }
    }

    /// The seed, drawn at random where no option says it: a small number, which is easily typed.
    mutating func drawSeed() -> UInt64 {
        let drawn = seed ?? .random(in: 0..<1_000_000)
        seed = drawn
        return drawn
    }

    func stopStrings(and more: [String] = []) throws -> StopStrings { try StopStrings(stop + more) }

    private func options(
        _ biases: [Int32: Float] = [:], _ defaults: SamplingDefaults = .greedy
    ) throws -> SamplingOptions {
        try SamplingOptions(
            logitBias: biases, repetitionPenalty: repetitionPenalty ?? defaults.repetitionPenalty,
            repetitionWindow: repetitionWindow, temperature: temperature ?? defaults.temperature,
            topK: topK ?? defaults.topK, topP: topP ?? defaults.topP, minP: minP ?? defaults.minP)
    }

    private func bias(_ text: String, _ tokenizer: Tokenizer) throws -> (Int32, Float) {
        guard let equals = text.lastIndex(of: "="), let value = Float(text[text.index(after: equals)...]) else {
            throw GenerationError.option(name: "--logit-bias", expected: "TOKEN=VALUE", found: text)
        }
        let token = String(text[..<equals])
        if let id = Int32(token) {
            guard (0..<Int32(clamping: tokenizer.vocabularySize)).contains(id) else {
                throw GenerationError.option(
                    name: "--logit-bias", expected: "token ids below \(tokenizer.vocabularySize)", found: token)
            }
            return (id, value)
        }
        let ids = try tokenizer.encode(continuing: token)
        guard ids.count == 1 else {
            throw GenerationError.option(
                name: "--logit-bias", expected: "text that is one token", found: "'\(token)', which is \(ids.count)")
        }
        return (ids[0], value)
    }
}
