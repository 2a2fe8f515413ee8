import Foundation
import Generation
import HTTPTypes
import Hummingbird
import Models
import NIOCore
import Support
import Tokenizers

/// An answer that says what is wrong, as OpenAI's API does.
struct APIError: HTTPResponseError, Equatable {
    var status: HTTPResponse.Status
    var message: String
    /// OpenAI's kind of error.
    var type: String
    /// The field that is wrong.
    var param: String?
    var code: String?
    /// Seconds after which asking again may help.
    var retryAfter: Int?
    /// Whether the request's body was not read to its end: nothing else can follow on its connection.
    var leavesBody = false

    static func invalid(_ param: String?, _ message: String, code: String? = nil) -> APIError {
        APIError(status: .badRequest, message: message, type: "invalid_request_error", param: param, code: code)
    }

    static func unsupported(_ param: String, _ reason: String = "is not supported") -> APIError {
        .invalid(param, "\(param) \(reason)", code: "unsupported_parameter")
    }

    static let shuttingDown = APIError(
        status: .serviceUnavailable, message: "\(SchedulerError.stopping)", type: "unavailable_error",
        code: "shutting_down", retryAfter: 5)

    /// What is answered where `error` was thrown; the details of what is not the client's fault stay in the log.
    init(_ error: any Error) {
        switch error {
        case let error as APIError: self = error
        case SchedulerError.full(let waiting):
            self.init(
                status: .tooManyRequests, message: "\(SchedulerError.full(waiting: waiting))", type: "rate_limit_error",
                code: "queue_full", retryAfter: 1)
        case SchedulerError.stopping: self = .shuttingDown
        case SchedulerError.late:
            self.init(
                status: .serviceUnavailable, message: "\(SchedulerError.late)", type: "timeout_error", code: "timeout",
                retryAfter: 1)
        case GenerationError.option(let name, let expected, let found):
            self = .invalid(
                Self.fields[name] ?? name, "\(Self.fields[name] ?? name): expected \(expected), found \(found)")
        case GenerationError.emptyPrompt: self = .invalid("prompt", "prompt: expected at least one token, found none")
        case ModelError.input(let expected, let found):
            self = .invalid("prompt", "prompt: expected \(expected), found \(found)")
        case let error as ConstraintError:
            self = .invalid("response_format", "\(error)", code: "unsupported_schema")
        case let error as TokenizerError: self = .invalid("messages", "\(error)")
        case let error as HTTPError where error.status.code < 500:
            let message = error.body ?? error.status.reasonPhrase
            self.init(status: error.status, message: message, type: "invalid_request_error")
        case is NIOTooManyBytesError:
            self.init(status: .contentTooLarge, message: "the body is too large", type: "invalid_request_error")
            leavesBody = true
        case is CancellationError:
            // Nobody reads it; the log has nginx's number for it.
            self.init(
                status: .init(code: 499, reasonPhrase: "Client Closed Request"), message: "the client has gone away",
                type: "client_error", code: "client_gone")
        default:
            self.init(
                status: .internalServerError, message: "the server could not do it; its log says why",
                type: "server_error")
        }
    }

    init(
        status: HTTPResponse.Status, message: String, type: String, param: String? = nil, code: String? = nil,
        retryAfter: Int? = nil
    ) {
        (self.status, self.message, self.type) = (status, message, type)
        (self.param, self.code, self.retryAfter) = (param, code, retryAfter)
    }

    /// The same where the request's body was not read to its end.
    var leavingBody: APIError {
        var error = self
        error.leavesBody = true
        return error
    }

    /// The API's words for properties of ``SamplingOptions``.
    private static let fields = [
        "logitBias": "logit_bias", "repetitionPenalty": "repetition_penalty", "topK": "top_k", "topP": "top_p",
        "minP": "min_p", "frequencyPenalty": "frequency_penalty", "presencePenalty": "presence_penalty",
        "alternatives": "logprobs", "limit": "max_tokens", "stopStrings": "stop",
    ]

    var json: JSONValue {
        [
            "error": [
                "message": .string(message), "type": .string(type), "param": param.map { .string($0) } ?? .null,
                "code": code.map { .string($0) } ?? .null,
            ]
        ]
    }

    func response(from request: Request, context: some RequestContext) -> Response {
        var response = Response.json(json, status: status)
        if let retryAfter { response.headers[.retryAfter] = "\(retryAfter)" }
        if leavesBody {
            response.headers[.connection] = "close"
            (context as? ServerContext)?.closeSoon()
        }
        if status == .unauthorized { response.headers[.wwwAuthenticate] = "Bearer" }
        if status == .serviceUnavailable, let name = HTTPField.Name("x-should-retry") {
            response.headers[name] = "true"
        }
        return response
    }
}

extension Response {
    static func json(_ value: JSONValue, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: value.text())))
    }
}
