import Generation
import Support
import Tensors
import Testing

extension CUDATests {
    @Suite("Picking tokens on a GPU") struct PickingTests {
        static func options() throws -> [SamplingOptions] {
            try [
                SamplingOptions(), SamplingOptions(temperature: 1), SamplingOptions(temperature: 0.3),
                SamplingOptions(temperature: 1, topK: 1), SamplingOptions(temperature: 1.5, topK: 40),
                SamplingOptions(temperature: 1, topP: 0.9), SamplingOptions(temperature: 0.8, topP: 0.2),
                SamplingOptions(temperature: 1, minP: 0.05),
                SamplingOptions(temperature: 2, topK: 70, topP: 0.7, minP: 0.01),
                SamplingOptions(repetitionPenalty: 1.7, repetitionWindow: 9),
                SamplingOptions(repetitionPenalty: 0.5, temperature: 1, topK: 12, topP: 0.95),
            ]
        }

        /// Logits (R, O) that are spread as a model's are, with many that are equal.
        private func logits(_ rows: Int, _ outputs: Int, seed: UInt64) throws -> [[Float]] {
            var random = Random(seed)
            return (0..<rows).map { _ in
                (0..<outputs).map { _ in (random.float() * random.float() * 9 * 8).rounded() / 8 }
            }
        }

        @Test("is the processor's choice by the same random numbers", arguments: [1, 31, 72, 1504, 3001])
        func choices(_ outputs: Int) throws {
            let options = try Self.options(), rows = options.count
            var samplers = options.enumerated().map { Sampler($1, seed: UInt64($0) << 40 | 7) }
            let tokens = try DecodingRows(rows: rows, on: .cuda)
            var drawn = Set<Int32>()
            for round in 0..<8 {
                let values = try logits(rows, outputs, seed: UInt64(round + 1))
                let recent = (0..<30).map { Int32($0 * 7 % outputs) }
                let choices = samplers.map {
                    TokenChoice(
                        recent: Array(recent.suffix($0.options.repetitionWindow)),
                        repetitionPenalty: $0.options.repetitionPenalty, temperature: $0.options.temperature,
                        topK: $0.options.topK, topP: $0.options.topP, minP: $0.options.minP, random: $0.generatorState)
                }
                let found = try tokens.pick(
                    choices, from: Tensor(values.flatMap { $0 }, shape: [rows, outputs]).to(.cuda))
                for row in 0..<rows {
                    let expected = try values[row].withUnsafeBufferPointer {
                        try samplers[row].sample($0, after: recent[...])
                    }
                    #expect(found[row] == expected, "\(options[row]), \(outputs) tokens, round \(round)")
                    drawn.insert(expected)
                }
                #expect(try tokens.ids.array(Int32.self) == found)
            }
            #expect(outputs < 100 || drawn.count > 40)
        }

        @Test("finds no token where logits are not finite, and the first of the likeliest")
        func edges() throws {
            let rows = try DecodingRows(rows: 5, on: .cuda)
            let equal = [Float](repeating: 2, count: 40)
            var values = [equal, equal, equal, equal, equal.map { -$0 }]
            (values[0][17], values[1][3], values[2][39]) = (.nan, .infinity, -.infinity)
            let logits = try Tensor(values.flatMap { $0 }, shape: [5, 40]).to(.cuda)
            let choices = [TokenChoice(), TokenChoice(temperature: 1), TokenChoice(), TokenChoice(), TokenChoice()]
            #expect(try rows.pick(choices, from: logits) == [-1, -1, -1, 0, 0])
            #expect(try rows.ids.array(Int32.self) == [0, 0, 0, 0, 0])
        }
    }
}
