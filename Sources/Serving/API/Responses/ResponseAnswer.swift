import Foundation
import Generation
import Support

/// A response under way: whole, or as the events of OpenAI's API.
struct ResponseAnswer: AnswerUnderWay {
    let id: String
    private let itemID = "msg_" + RandomID.text()
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
        let place: [(String, JSONValue)] = [
            ("item_id", .string(itemID)), ("output_index", 0), ("content_index", 0),
        ]
        let begun = JSONValue.object(response("in_progress", output: []))
        try await event("created", [("response", begun)])
        try await event("in_progress", [("response", begun)])
        let result = try await read { step in
            switch step {
            case .reading(let read, let count): try await send(.comment("reading \(read) of \(count) tokens"))
            case .began:
                try await event("output_item.added", [("output_index", 0), ("item", item("in_progress", nil))])
                try await event("content_part.added", place + [("part", part(""))])
            case .text(let text):
                try await event("output_text.delta", place + [("delta", .string(text)), ("logprobs", [])])
            }
        }
        try await event("output_text.done", place + [("text", .string(result.text)), ("logprobs", [])])
        try await event("content_part.done", place + [("part", part(result.text))])
        try await event(
            "output_item.done", [("output_index", 0), ("item", item(result.status, result.text))])
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
        case began
        case text(String)
    }

    private struct Result {
        var text = ""
        var status = "completed"
        var response = JSONObject()
        var summary = Answer.Summary()
    }

    /// Reads what is generated, and keeps the response before it is told of as complete.
    private func read(_ tell: (Step) async throws -> Void) async throws -> Result {
        var (result, usage, generated) = (Result(), TokenUsage(), [Int32]())
        var observer = RequestObserver(service.metrics, start)
        var reason = SequenceEvent.Ending.Reason.limit
        usage.prompt = plan.request.prompt.count
        for try await event in events {
            observer.see(event)
            switch event {
            case .reading(let read, let count): try await tell(.reading(read, of: count))
            case .read(let reading):
                usage.cached = reading.cached
                try await tell(.began)
            case .token(_, _, let text, let id):
                generated.append(id)
                result.text += text
                if !text.isEmpty { try await tell(.text(text)) }
            case .finished(_, let ending, let text):
                try Answer.check(ending)
                reason = ending.reason
                result.text += text
                if !text.isEmpty { try await tell(.text(text)) }
            }
        }
        observer.end(prompt: usage.prompt)
        usage.generated = generated.count
        let isWhole = reason == .stopToken || reason == .stopString
        result.status = isWhole ? "completed" : "incomplete"
        result.summary = Answer.Summary(usage: usage, reasons: [reason.finishReason])
        result.response = response(result.status, output: [item(result.status, result.text)], usage)
        if plan.isStored { try await keep(result, generated, reason) }
        return result
    }

    private func keep(_ result: Result, _ generated: [Int32], _ reason: SequenceEvent.Ending.Reason) async throws {
        let prompt = plan.request.prompt
        // A sequence that a stop string or the time has ended has read what is not in its text, or not all of that.
        let isContinued = reason == .stopToken || reason == .limit
        let tokens = isContinued ? prompt + generated : prompt
        let record = ResponseRecord(
            response: result.response, messages: plan.messages + [ChatMessage(.assistant, result.text)],
            text: isContinued ? plan.rendered + result.text : plan.rendered, promptBytes: plan.rendered.utf8.count,
            tokens: tokens, promptTokens: prompt.count,
            // The last token of those that are asked for is not read.
            stateTokens: reason == .limit ? tokens.count - 1 : tokens.count)
        try await service.responses.keep(record, id: id, scope: scope)
    }

    // MARK: Writing

    private func response(_ status: String, output: [JSONValue], _ usage: TokenUsage? = nil) -> JSONObject {
        var object: JSONObject = [
            "id": .string(id), "object": "response", "created_at": .integer(created), "status": .string(status),
            "background": false, "error": nil,
            "incomplete_details": status == "incomplete" ? ["reason": "max_output_tokens"] : .null,
            "model": .string(service.name), "output": .array(output), "parallel_tool_calls": true,
            "reasoning": ["effort": nil, "summary": nil], "text": ["format": ["type": "text"]], "tool_choice": "none",
            "tools": [], "truncation": "disabled", "usage": usage.map(Self.json) ?? .null,
        ]
        for (name, value) in plan.echo.pairs { object[name] = value }
        return object
    }

    private func item(_ status: String, _ text: String?) -> JSONValue {
        [
            "id": .string(itemID), "type": "message", "status": .string(status), "role": "assistant",
            "content": text.map { [part($0)] } ?? [],
        ]
    }

    private func part(_ text: String) -> JSONValue {
        ["type": "output_text", "text": .string(text), "annotations": [], "logprobs": []]
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
