import Models
import Tensors

extension SpeedBenchmark {
    /// Tokens that are read in one call.
    private static let segment = 1 << 15

    var deviceWork: Int {
        let read = prefill.reduce(0, +) + depths.reduce(0, +)
        return batches.reduce(0, +) * (repeats + 1) * (read + depths.count * (decode + 2))
    }

    /// On a GPU sequences are read in step as well as decoded, every repetition from the beginning. Decoding is greedy, and
    /// timed from its third token: the first is computed kernel by kernel, and the second records them.
    func runOnDevice(
        _ model: DecoderModel, progress: (Int, Kind) throws -> Void, emit: (Result) throws -> Void
    ) throws {
        var done = 0
        for batch in batches {
            for tokens in prefill {
                let kind = Kind.prefill(tokens: tokens, batch: batch)
                let rates = try measure(batch * tokens) {
                    let state = try model.makeState(rows: batch)
                    return try time {
                        try read(tokens, of: model, state: state) {
                            done += $0
                            try progress(done, kind)
                        }
                    }
                }
                try emit(Result(kind: kind, rates: rates, stateBytes: 0))
            }
            for depth in depths.sorted() {
                let kind = Kind.decode(depth: depth, batch: batch)
                var bytes = 0
                let rates = try measure(batch * decode) {
                    let state = try model.makeState(rows: batch)
                    try state.reserve(depth + decode + 2)
                    try read(depth, of: model, state: state) {
                        done += $0
                        try progress(done, kind)
                    }
                    let step = try DeviceStep(model, state: state)
                    let begun = try step.generate(2, after: [Int32](repeating: 1, count: batch))
                    let seconds = try time { _ = try step.generate(decode, after: begun.map { $0[1] }) }
                    bytes = state.byteCount / batch
                    done += batch * (decode + 2)
                    try progress(done, kind)
                    return seconds
                }
                try emit(Result(kind: kind, rates: rates, stateBytes: bytes))
            }
        }
    }

    /// Reads so many tokens of every sequence of `state`, and waits until they are read.
    private func read(
        _ count: Int, of model: DecoderModel, state: DecoderState, progress: (Int) throws -> Void
    ) throws {
        let tokens = Self.tokens(count, of: model)
        let length = max(1, Self.segment / state.rows)
        for start in stride(from: 0, to: count, by: length) {
            let part = Array(tokens[start..<min(start + length, count)])
            let logits = try model.nextLogits([[Int32]](repeating: part, count: state.rows), state: state)
            _ = try logits.rows(0..<1).array(Float.self)
            try progress(part.count * state.rows)
        }
    }
}
