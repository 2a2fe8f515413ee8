import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// Turns errors into answers, names each request, and writes a line of the log for it: never of what it says.
struct AnswerMiddleware: RouterMiddleware {
    private static let requestID = HTTPField.Name("x-request-id")

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let given = Self.requestID.flatMap { request.headers[$0] }
        let id = given.flatMap { Self.isPlain($0) ? $0 : nil } ?? context.id
        var context = context
        context.logger[metadataKey: "request"] = "\(id)"
        context.logger[metadataKey: "hb.request.id"] = nil
        var response: Response
        var metadata: Logger.Metadata = [:]
        do { response = try await next(request, context) } catch {
            let answer = APIError(error)
            if answer.status.code >= 500, answer.type == "server_error" { metadata["error"] = "\(error)" }
            if let code = answer.code { metadata["code"] = "\(code)" }
            response = answer.response(from: request, context: context)
        }
        if let name = Self.requestID { response.headers[name] = id }
        metadata["method"] = "\(request.method.rawValue)"
        metadata["route"] = "\(context.endpointPath ?? "none")"
        metadata["status"] = "\(response.status.code)"
        metadata["peer"] = "\(context.peer)"
        metadata["ms"] = "\(Int(start.duration(to: .now) / .milliseconds(1)))"
        let isOurs = metadata["error"] != nil
        context.logger.log(level: isOurs ? .error : .info, "request", metadata: metadata)
        return response
    }

    /// Whether an id may stand in a log and a header.
    private static func isPlain(_ id: String) -> Bool {
        (1...128).contains(id.utf8.count) && id.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 }
    }
}

/// Lets web pages of some origins ask.
struct OriginMiddleware: RouterMiddleware {
    let origins: [String]

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        guard let origin = request.headers[.origin], let allowed = allowed(origin) else {
            return try await next(request, context)
        }
        var response: Response
        if request.method == .options {
            response = Response(
                status: .noContent,
                headers: [
                    .accessControlAllowMethods: "GET, POST, DELETE, OPTIONS",
                    .accessControlAllowHeaders: "Authorization, Content-Type, X-Request-Id",
                    .accessControlMaxAge: "600",
                ])
        } else {
            do { response = try await next(request, context) } catch {
                response = APIError(error).response(from: request, context: context)
            }
        }
        response.headers[.accessControlAllowOrigin] = allowed
        if allowed != "*" { response.headers[.vary] = "Origin" }
        return response
    }

    private func allowed(_ origin: String) -> String? {
        origins.contains("*") ? "*" : origins.contains(origin) ? origin : nil
    }
}

/// Lets in who bears one of the keys, where there are any; everybody may ask for /health, and for the page, which asks for
/// a key itself.
struct KeyMiddleware: RouterMiddleware {
    let keys: [[UInt8]]

    init(_ keys: [String]) { self.keys = keys.map { Array($0.utf8) } }

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        guard !keys.isEmpty, !HealthPaths.all.contains(request.uri.path), request.uri.path != WebPage.path else {
            return try await next(request, context)
        }
        let scheme = "Bearer "
        guard let field = request.headers[.authorization], field.hasPrefix(scheme),
            let key = Self.place(of: Array(field.dropFirst(scheme.count).utf8), in: keys)
        else {
            throw APIError(
                status: .unauthorized, message: "expected a valid key: Authorization: Bearer KEY",
                type: "authentication_error", code: "invalid_api_key")
        }
        var context = context
        (context.key, context.scope) = (key, String(decoding: keys[key], as: UTF8.self))
        return try await next(request, context)
    }

    /// Which of `keys` is `candidate`, in a time that depends on lengths alone.
    static func place(of candidate: [UInt8], in keys: [[UInt8]]) -> Int? {
        var found: Int?
        for (place, key) in keys.enumerated() {
            var difference = UInt64(bitPattern: Int64(key.count ^ candidate.count))
            for index in key.indices {
                difference |= UInt64(key[index] ^ (candidate.isEmpty ? 0 : candidate[index % candidate.count]))
            }
            if difference == 0, !key.isEmpty { found = place }
        }
        return found
    }
}

/// Where a server says whether it lives.
enum HealthPaths {
    static let all = ["/health", "/v1/health"]
}
