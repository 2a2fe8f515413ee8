import Generation
import Support

/// What was read and generated of an answer until now, and how fast: llama-server's `timings`.
struct AnswerTimings: Sendable {
    private var cached = 0, read = 0, generated = 0
    private var readingSeconds = 0.0
    private var generating: (start: ContinuousClock.Instant, end: ContinuousClock.Instant)?

    /// - Parameter prompt: tokens of the prompt that the event is of.
    mutating func see(_ event: SequenceEvent, prompt: Int) {
        switch event {
        case .read(let reading):
            cached += reading.cached
            read += prompt - reading.cached
            readingSeconds += reading.seconds.reading
        case .token:
            generated += 1
            generating = (generating?.start ?? .now, .now)
        case .reading, .finished: break
        }
    }

    /// The first token comes with the prompt, so that speed is of those after it.
    var json: JSONValue {
        let seconds = generating.map { $0.start.duration(to: $0.end) / .seconds(1) } ?? 0
        func rate(_ tokens: Int, _ seconds: Double) -> JSONValue {
            tokens > 0 && seconds > 0 ? .number(Double(tokens) / seconds) : .null
        }
        return [
            "cache_n": .integer(cached), "prompt_n": .integer(read), "prompt_ms": .number(readingSeconds * 1000),
            "prompt_per_second": rate(read, readingSeconds), "predicted_n": .integer(generated),
            "predicted_ms": .number(seconds * 1000), "predicted_per_second": rate(generated - 1, seconds),
        ]
    }
}
