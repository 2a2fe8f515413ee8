import HTTPTypes
import Hummingbird
import NIOCore

/// The page for people: the files in Page/, which are written into the program, put together to one that fetches nothing but this
/// server's answers.
struct WebPage: Sendable {
    static let path = "/"

    /// The page, cut where each answer has a nonce of its own.
    private let parts: [String]

    init() {
        typealias Files = PackageResources
        let scripts = [
            Files.base_js, Files.conversation_js, Files.store_js, Files.api_js, Files.markdown_js, Files.tokens_js,
            Files.answers_js, Files.messages_js, Files.files_js, Files.figures_js, Files.states_js, Files.memory_js,
            Files.settings_js,
            Files.main_js,
        ]
        func text(_ file: [UInt8]) -> String { String(decoding: file, as: UTF8.self) }
        parts = text(Files.page_html)
            .replacing("{{style}}", with: text(Files.style_css))
            .replacing("{{script}}", with: scripts.map(text).joined(separator: "\n"))
            .split(separator: "{{nonce}}", omittingEmptySubsequences: false).map(String.init)
    }

    /// The page, which may run its own script and style alone, ask its own server alone, and is shown in no other page.
    func response() -> Response {
        let nonce = (0..<2).map { _ in String(UInt64.random(in: 0...UInt64.max), radix: 36) }.joined()
        let policy = [
            "default-src 'none'", "script-src 'nonce-\(nonce)'", "style-src 'nonce-\(nonce)'", "connect-src 'self'",
            "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
            "require-trusted-types-for 'script'", "trusted-types 'none'",
        ]
        var headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
            .contentSecurityPolicy: policy.joined(separator: "; "), .xContentTypeOptions: "nosniff",
        ]
        for (name, value) in [("referrer-policy", "no-referrer"), ("cross-origin-opener-policy", "same-origin")] {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        let text = ByteBuffer(string: parts.joined(separator: nonce))
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: text))
    }
}
