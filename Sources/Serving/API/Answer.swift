import Foundation
import Generation
import Support

/// What a request for text is answered with, as it comes.
protocol AnswerUnderWay: Sendable {
    var id: String { get }
    /// The whole answer.
    func whole() async throws -> (json: JSONValue, summary: Answer.Summary)
    /// Gives the parts of the answer to `send` as they come.
    func stream(_ send: (Answer.Part) async throws -> Void) async throws -> Answer.Summary
    /// What ends a stream, after a mistake too.
    var ending: Answer.Part? { get }
    /// How a stream tells of a mistake.
    func part(of error: APIError) -> Answer.Part
}

/// An answer under way: collects or streams what becomes of a plan's requests.
struct Answer: AnswerUnderWay {
    let plan: GenerationPlan
    let service: ModelService
    let events: [SequenceEvents]
    let id: String
    private let created = Int(Date().timeIntervalSince1970)
    private let start = ContinuousClock.now

    /// Submits the requests.
    /// - Throws: ``APIError``.
    init(_ plan: GenerationPlan, _ service: ModelService) throws {
        (self.plan, self.service) = (plan, service)
        do { events = try service.scheduler.submit(plan.requests) } catch { throw APIError(error) }
        id = plan.form.idPrefix + RandomID.text()
    }

    /// What is told of the answer when it is complete.
    struct Summary: Sendable {
        var usage = TokenUsage()
        var reasons: [String] = []
    }

    // MARK: Whole

    func whole() async throws -> (json: JSONValue, summary: Summary) {
        var summary = Summary()
        var timings = AnswerTimings()
        var choices: [JSONValue] = []
        for (prompt, events) in events.enumerated() {
            var results: [ChoiceResult] = []
            var observer = RequestObserver(service.metrics, start)
            for try await event in events {
                observer.see(event)
                timings.see(event, prompt: plan.requests[prompt].prompt.count)
                switch event {
                case .reading: break
                case .read(let reading):
                    add(reading, prompt, &summary)
                    results = (0..<plan.choices).map {
                        ChoiceResult(index: prompt * plan.choices + $0, prompt: prompt, reading: reading)
                    }
                case .token(let choice, let likelihood, let text, let id):
                    results[choice].text += text + plan.form.mark(id)
                    if let likelihood { results[choice].likelihoods.append(likelihood) }
                    summary.usage.generated += 1
                case .finished(let choice, let ending, let text):
                    try Self.check(ending)
                    results[choice].text += text
                    results[choice].ending = ending
                }
            }
            observer.end(prompt: plan.requests[prompt].prompt.count)
            choices += try results.map(plan.form.choice)
            summary.reasons += choices.suffix(results.count).compactMap { $0["finish_reason"]?.stringValue }
        }
        var answer = envelope(plan.form.objects.whole, .array(choices))
        answer["usage"] = summary.usage.json
        if plan.tellsTimings { answer["timings"] = timings.json }
        return (.object(answer), summary)
    }

    // MARK: Streamed

    /// A part of a stream.
    enum Part: Sendable {
        /// An object of the API.
        case data(JSONValue)
        /// An object of the API with a name.
        case event(String, JSONValue)
        /// What keeps a connection alive, and is no part of the answer.
        case comment(String)
        /// The end of a stream.
        case done

        /// As a server-sent event, without the empty line behind it.
        var text: String {
            switch self {
            case .data(let value): "data: \(value.text())"
            case .event(let name, let value): "event: \(name)\ndata: \(value.text())"
            case .comment(let text): ": \(text)"
            case .done: "data: [DONE]"
            }
        }
    }

    let ending: Part? = .done

    func part(of error: APIError) -> Part { .data(error.json) }

    func stream(_ send: (Part) async throws -> Void) async throws -> Summary {
        var summary = Summary()
        var timings = AnswerTimings()
        func part(_ choice: JSONValue) async throws {
            var chunk = envelope(plan.form.objects.part, [choice])
            if plan.includesUsage { chunk["usage"] = .null }
            if plan.tellsTimings { chunk["timings"] = timings.json }
            try await send(.data(.object(chunk)))
        }
        for (prompt, events) in events.enumerated() {
            let first = prompt * plan.choices
            var observer = RequestObserver(service.metrics, start)
            var held = [[TokenLikelihood]](repeating: [], count: plan.choices)
            var tools = plan.form.toolFormat.map { format in
                (0..<plan.choices).map { _ in (parser: ToolCallParser(format), calls: 0) }
            }
            /// Sends text of a continuation, or the calls that it turns out to be.
            func write(_ choice: Int, _ text: String, isLast: Bool) async throws {
                guard var (parser, calls) = tools?[choice] else {
                    if !text.isEmpty || isLast && !held[choice].isEmpty {
                        try await part(plan.form.part(first + choice, text, held[choice]))
                        held[choice] = []
                    }
                    return
                }
                for found in parser.push(text) + (isLast ? parser.finish() : []) {
                    switch found {
                    case .text(let text): try await part(plan.form.part(first + choice, text, held[choice]))
                    case .call(let call):
                        try await part(plan.form.call(first + choice, calls, call, held[choice]))
                        calls += 1
                    }
                    held[choice] = []
                }
                tools?[choice] = (parser, calls)
            }
            for try await event in events {
                observer.see(event)
                timings.see(event, prompt: plan.requests[prompt].prompt.count)
                switch event {
                case .reading(let read, let count): try await send(.comment("reading \(read) of \(count) tokens"))
                case .read(let reading):
                    add(reading, prompt, &summary)
                    for choice in 0..<plan.choices {
                        if let opening = plan.form.opening(first + choice, prompt: prompt) { try await part(opening) }
                    }
                case .token(let choice, let likelihood, let text, let id):
                    summary.usage.generated += 1
                    if let likelihood { held[choice].append(likelihood) }
                    // A token without certain text goes along with the next that has some.
                    try await write(choice, text + plan.form.mark(id), isLast: false)
                case .finished(let choice, let ending, let text):
                    try Self.check(ending)
                    try await write(choice, text, isLast: true)
                    let reason = ending.reason.finishReason(calls: tools?[choice].calls ?? 0)
                    summary.reasons.append(reason)
                    try await part(plan.form.closing(first + choice, reason))
                }
            }
            observer.end(prompt: plan.requests[prompt].prompt.count)
        }
        if plan.includesUsage {
            var chunk = envelope(plan.form.objects.part, [])
            chunk["usage"] = summary.usage.json
            try await send(.data(.object(chunk)))
        }
        return summary
    }

    // MARK: Parts of both

    private func envelope(_ object: String, _ choices: JSONValue) -> JSONObject {
        [
            "id": .string(id), "object": .string(object), "created": .integer(created),
            "model": .string(service.name), "system_fingerprint": .string(service.fingerprint),
            "choices": choices,
        ]
    }

    private func add(_ reading: SequenceEvent.PromptReading, _ prompt: Int, _ summary: inout Summary) {
        summary.usage.prompt += plan.requests[prompt].prompt.count
        summary.usage.cached += reading.cached
    }

    static func check(_ ending: SequenceEvent.Ending) throws {
        guard ending.reason == .nonFinite else { return }
        throw APIError(
            status: .internalServerError, message: "the model's output is not a finite number", type: "server_error",
            code: "non_finite")
    }
}

/// Measures a request as its events come.
struct RequestObserver {
    private let metrics: ServerMetrics
    private let start: ContinuousClock.Instant
    private var last: ContinuousClock.Instant?
    private var generated = 0

    init(_ metrics: ServerMetrics, _ start: ContinuousClock.Instant) { (self.metrics, self.start) = (metrics, start) }

    mutating func see(_ event: SequenceEvent) {
        let now = ContinuousClock.now
        switch event {
        case .reading: break
        case .read(let reading):
            metrics.record(.queue, reading.seconds.queued)
            metrics.record(.prefill, reading.seconds.reading)
        case .token:
            generated += 1
            if let last {
                metrics.record(.betweenTokens, last.duration(to: now) / .seconds(1))
            } else {
                metrics.record(.firstToken, start.duration(to: now) / .seconds(1))
            }
            last = now
        case .finished(_, let ending, _): metrics.finished(ending.reason.finishReason)
        }
    }

    func end(prompt: Int) {
        metrics.record(.whole, start.duration(to: .now) / .seconds(1))
        metrics.record(.promptTokens, Double(prompt))
        metrics.record(.generatedTokens, Double(generated))
    }
}
