import Models
import Tensors
import Testing

/// Several sequences of a model that decode together on its device.
struct Together {
    let model: DecoderModel
    let states: [DecoderState]
    let step: any DecodingStep

    /// Those of `prompts`, each read by itself.
    init(_ model: DecoderModel, reading prompts: [[Int32]]) throws {
        self.model = model
        states = try prompts.map { prompt in
            let state = try model.makeState()
            if !prompt.isEmpty { _ = try model.nextLogits(prompt, state: state) }
            return state
        }
        step = try model.makeStep(capacity: prompts.count)
    }

    /// Those of `states`.
    init(_ model: DecoderModel, _ states: [DecoderState]) throws {
        (self.model, self.states) = (model, states)
        step = try model.makeStep(capacity: states.count)
    }

    func read(_ tokens: [Int32]) throws { try step.read(tokens, states: states) }

    /// Logits (R, vocabulary) of the last step, on the processor.
    func logits() throws -> Tensor {
        let values = try states.indices.map { try step.withLogits(of: $0) { Array($0) } }
        return try Tensor(values.flatMap { $0 }, shape: [states.count, values[0].count])
    }

    /// Reads `tokens` and goes on with the likeliest, `count` of each sequence, of which the last is not read.
    func generate(_ count: Int, after tokens: [Int32]) throws -> [[Int32]] {
        var (last, all) = (tokens, [[Int32]](repeating: [], count: states.count))
        for _ in 0..<count {
            try read(last)
            last = try #require(try step.pick(states.map { _ in TokenChoice() })).map { try #require($0) }
            for (row, token) in last.enumerated() { all[row].append(token) }
        }
        return all
    }
}
