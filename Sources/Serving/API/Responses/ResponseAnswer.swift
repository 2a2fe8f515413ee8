import Foundation
import Generation
import Support

/// A response under way: whole, or as the events of OpenAI's API.
struct ResponseAnswer: AnswerUnderWay {
    let id: String
    private let plan: ResponsePlan
    private let service: ModelService
    private let events: SequenceEvents
    private let scope: String
    private let created = Int(Date().timeIntervalSince1970)
    private let start = ContinuousClock.now

    /// Submits the request.
    /// - Throws: ``APIError``.
    init(_ plan: ResponsePlan, _ service: ModelService) throws {
        (self.plan, self.service, scope) = (plan, service, plan.request.scope)
        id = ResponseKey.newID(of: service.name)
        do { events = try service.scheduler.submit(plan.request) } catch { throw APIError(error) }
    }

    func whole() async throws -> (json: JSONValue, summary: Answer.Summary) {
        let result = try await read { _ in }
        return (.object(result.response), result.summary)
    }

    func stream(_ send: (Answer.Part) async throws -> Void) async throws -> Answer.Summary {
        var count = 0
        func event(_ name: String, _ fields: [(String, JSONValue)]) async throws {
            let type = "response.\(name)"
            let all: [(String, JSONValue)] = [("type", .string(type)), ("sequence_number", .integer(count))] + fields
            count += 1
            try await send(.event(type, .object(JSONObject(all))))
        }
        let begun = JSONValue.object(response("in_progress", output: []))
        try await event("created", [("response", begun)])
        try await event("in_progress", [("response", begun)])
        let result = try await read { step in
            switch step {
            case .reading(let read, let count): try await send(.comment("reading \(read) of \(count) tokens"))
            case .events(let events): for (name, fields) in events { try await event(name, fields) }
            }
        }
        try await event(result.status, [("response", .object(result.response))])
        return result.summary
    }

    let ending: Answer.Part? = nil

    func part(of error: APIError) -> Answer.Part {
        .event(
            "error",
            [
                "type": "error", "code": .string(error.code ?? error.type), "message": .string(error.message),
                "param": error.param.map { .string($0) } ?? .null,
            ])
    }

    // MARK: Reading

    private enum Step {
        case reading(Int, of: Int)
        case events([ResponseOutput.Event])
    }

    private struct Result {
        var status = "completed"
        var response = JSONObject()
        var summary = Answer.Summary()
    }

    /// Reads what is generated, and keeps the response before it is told of as complete.
    private func read(_ tell: (Step) async throws -> Void) async throws -> Result {
        var (output, usage) = (ResponseOutput(plan.toolFormat), TokenUsage())
        // As it was generated, calls too.
        var (text, generated) = ("", [Int32]())
        var observer = RequestObserver(service.metrics, start)
        var reason = SequenceEvent.Ending.Reason.limit
        usage.prompt = plan.request.prompt.count
        for try await event in events {
            observer.see(event)
            switch event {
            case .reading(let read, let count): try await tell(.reading(read, of: count))
            case .read(let reading):
                usage.cached = reading.cached
                try await tell(.events(output.begin()))
            case .token(_, _, let more, let id):
                let more = more + (plan.toolFormat == nil ? "" : ToolFormat.mark(id, service.tokenizer))
                generated.append(id)
                text += more
                try await tell(.events(output.add(more)))
            case .finished(_, let ending, let more):
                try Answer.check(ending)
                reason = ending.reason
                text += more
                try await tell(.events(output.add(more)))
            }
        }
        observer.end(prompt: usage.prompt)
        usage.generated = generated.count
        let status = reason.finishReason == "stop" ? "completed" : "incomplete"
        try await tell(.events(output.finish(status)))
        let result = Result(
            status: status, response: response(status, output: output.items, usage),
            summary: Answer.Summary(usage: usage, reasons: [reason.finishReason(calls: output.calls.count)]))
        if plan.isStored { try await keep(result, output, text, generated, reason) }
        return result
    }

    private func keep(
        _ result: Result, _ output: ResponseOutput, _ text: String, _ generated: [Int32],
        _ reason: SequenceEvent.Ending.Reason
    ) async throws {
        let prompt = plan.request.prompt
        // A sequence that a stop string or the time has ended has read what is not in its text, or not all of that.
        let isContinued = [.stopToken, .limit, .complete].contains(reason)
        let tokens = isContinued ? prompt + generated : prompt
        var answer: JSONObject = ["role": "assistant", "content": .string(output.text)]
        if !output.calls.isEmpty { answer["tool_calls"] = .array(output.calls) }
        let record = ResponseRecord(
            response: result.response, messages: plan.messages + [answer],
            text: isContinued ? plan.rendered + text : plan.rendered, promptBytes: plan.rendered.utf8.count,
            tokens: tokens, promptTokens: prompt.count,
            // Without an end of its own the last token is not read.
            stateTokens: isContinued && reason != .stopToken ? tokens.count - 1 : tokens.count)
        try await service.responses.keep(record, id: id, scope: scope)
    }

    // MARK: Writing

    private func response(_ status: String, output: [JSONValue], _ usage: TokenUsage? = nil) -> JSONObject {
        var object: JSONObject = [
            "id": .string(id), "object": "response", "created_at": .integer(created), "status": .string(status),
            "background": false, "error": nil,
            "incomplete_details": status == "incomplete" ? ["reason": "max_output_tokens"] : .null,
            "model": .string(service.name), "output": .array(output),
            "reasoning": ["effort": nil, "summary": nil], "truncation": "disabled",
            "usage": usage.map(Self.json) ?? .null,
        ]
        for (name, value) in plan.echo.pairs { object[name] = value }
        return object
    }

    private static func json(_ usage: TokenUsage) -> JSONValue {
        [
            "input_tokens": .integer(usage.prompt),
            "input_tokens_details": ["cached_tokens": .integer(usage.cached)],
            "output_tokens": .integer(usage.generated), "output_tokens_details": ["reasoning_tokens": 0],
            "total_tokens": .integer(usage.prompt + usage.generated),
        ]
    }
}
