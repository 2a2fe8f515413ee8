import Foundation
import Generation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Support

/// Answers a request for text, whole or as a stream.
struct GenerationEndpoint: Sendable {
    let service: ModelService

    /// Answers with what the model that `request` names makes of what `parse` understands it as.
    static func respond(
        _ request: Request, _ context: ServerContext, _ shelf: ModelShelf,
        _ parse: (inout RequestFields, ModelService) throws -> GenerationPlan
    ) async throws -> Response {
        var request = request
        var fields = try await RequestBodies.fields(&request, shelf.options)
        let service = try await shelf.use(&fields)
        var plan = try parse(&fields, service)
        for place in plan.requests.indices {
            (plan.requests[place].owner, plan.requests[place].scope) = (context.owner, context.scope)
        }
        return try await Self(service: service).respond(
            try Answer(plan, service), isStreamed: plan.isStreamed, request, context)
    }

    /// Answers with `answer`.
    func respond(
        _ answer: some AnswerUnderWay, isStreamed: Bool, _ request: Request, _ context: ServerContext
    ) async throws -> Response {
        isStreamed ? stream(answer, request, context) : try await whole(answer, request, context)
    }

    /// Closes a connection that takes much longer than its request may, because nobody reads at its other end.
    private func closingLate(_ channel: any Channel) -> Scheduled<Void> {
        let seconds = service.options.requestSeconds + service.options.graceSeconds
        return channel.eventLoop.scheduleTask(in: .milliseconds(Int64(seconds * 1000))) { channel.close(promise: nil) }
    }

    private func whole(
        _ answer: some AnswerUnderWay, _ request: Request, _ context: ServerContext
    ) async throws -> Response {
        let (json, summary) = try await request.body.consumeWithCancellationOnInboundClose { _ in
            try await answer.whole()
        }
        log(summary, answer, context.logger)
        let text = ByteBuffer(string: json.text())
        let body = ResponseBody(contentLength: text.readableBytes) { writer in
            let limit = closingLate(context.channel)
            defer { limit.cancel() }
            try await writer.write(text)
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "application/json", .connection: "close"], body: body)
    }

    private func stream(_ answer: some AnswerUnderWay, _ request: Request, _ context: ServerContext) -> Response {
        let logger = context.logger
        let body = ResponseBody { writer in
            let limit = closingLate(context.channel)
            defer { limit.cancel() }
            do {
                try await request.body.consumeWithCancellationOnInboundClose { _ in
                    func send(_ part: Answer.Part) async throws {
                        try await writer.write(ByteBuffer(string: "\(part.text)\n\n"))
                    }
                    do {
                        let summary = try await answer.stream(send)
                        log(summary, answer, logger)
                    } catch let error where !(error is CancellationError) {
                        // Behind the head of an answer there is no status left to say it with.
                        let error = APIError(error)
                        logger.warning("stream ended", metadata: ["code": "\(error.code ?? error.type)"])
                        try await send(answer.part(of: error))
                    }
                    if let ending = answer.ending { try await send(ending) }
                }
            } catch {
                logger.info("client gone", metadata: ["answer": "\(answer.id)"])
                throw error
            }
            try await writer.finish(nil)
        }
        var headers: HTTPFields = [
            .contentType: "text/event-stream", .cacheControl: "no-cache", .connection: "close",
        ]
        // Proxies would gather the parts.
        if let name = HTTPField.Name("x-accel-buffering") { headers[name] = "no" }
        return Response(status: .ok, headers: headers, body: body)
    }

    private func log(_ summary: Answer.Summary, _ answer: some AnswerUnderWay, _ logger: Logger) {
        logger.info(
            "answer",
            metadata: [
                "answer": "\(answer.id)", "prompt_tokens": "\(summary.usage.prompt)",
                "cached_tokens": "\(summary.usage.cached)", "completion_tokens": "\(summary.usage.generated)",
                "finish": "\(Set(summary.reasons).sorted().joined(separator: ","))",
            ])
    }
}

/// Bodies of requests as JSON.
enum RequestBodies {
    /// - Throws: ``APIError`` for a body that is too large, too slow, or no JSON object.
    static func fields(_ request: inout Request, _ options: ServerOptions) async throws -> RequestFields {
        let (limit, seconds) = (options.maximumBody, options.bodySeconds)
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge(limit) }
        let body = request.body
        let buffer: ByteBuffer
        do {
            buffer = try await within(seconds) { try await body.collect(upTo: limit) }
        } catch is NIOTooManyBytesError {
            throw tooLarge(limit)
        }
        request.body = RequestBody(buffer: buffer)
        return try RequestFields(body: Array(buffer.readableBytesView))
    }

    /// What `read` makes of a body.
    /// - Throws: ``APIError`` when that takes longer than `seconds`.
    static func within<Value: Sendable>(
        _ seconds: Double, _ read: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Value.self) { group in
            group.addTask { try await read() }
            group.addTask {
                try await Task.sleep(for: .seconds(seconds))
                throw APIError(
                    status: .requestTimeout, message: "the body took more than \(Int(seconds)) seconds to arrive",
                    type: "timeout_error", code: "timeout"
                ).leavingBody
            }
            defer { group.cancelAll() }
            guard let value = try await group.next() else { throw CancellationError() }
            return value
        }
    }

    private static func tooLarge(_ limit: Int) -> APIError {
        APIError(
            status: .contentTooLarge, message: "the body is larger than \(limit) bytes", type: "invalid_request_error",
            code: "body_too_large"
        ).leavingBody
    }
}
