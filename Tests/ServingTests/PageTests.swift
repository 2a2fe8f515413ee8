import Foundation
import Models
import Serving
import Support
import TestSupport
import Testing

@Suite("Serving: page")
struct PageTests {
    /// The nonces of the policy and of the elements that it lets in.
    private static func nonces(_ reply: Reply) throws -> (policy: Set<String>, elements: [String]) {
        let policy = try #require(reply.headers["content-security-policy"])
        let named = policy.matches(of: #/'nonce-([a-z0-9]+)'/#).map { String($0.1) }
        let elements = reply.body.matches(of: #/<(?:script|style)[^>]* nonce="([^"]*)"/#).map { String($0.1) }
        return (Set(named), elements)
    }

    @Test func aPolicyLetsInItsOwnScriptAndStyleAlone() async throws {
        try await serving { client in
            let (first, second) = (try await client.get("/"), try await client.get("/"))
            #expect(first.status == 200)
            #expect(first.headers["content-type"] == "text/html; charset=utf-8")
            let policy = try #require(first.headers["content-security-policy"])
            for directive in ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
                #expect(policy.contains(directive))
            }
            #expect(!policy.contains("unsafe"))
            let (nonces, others) = (try Self.nonces(first), try Self.nonces(second))
            #expect(nonces.policy.count == 1 && nonces.policy.allSatisfy { $0.count >= 20 })
            #expect(nonces.elements == Array(repeating: try #require(nonces.policy.first), count: 2))
            #expect(nonces.policy.isDisjoint(with: others.policy))
        }
    }

    @Test func nothingIsFetchedAndNoTextIsReadAsHTML() async throws {
        try await serving { client in
            let page = try await client.get("/").body
            #expect(!page.contains("{{"))
            // One script and one style, each whole.
            for tag in ["<script", "</script", "<style", "</style"] {
                #expect(page.components(separatedBy: tag).count == 2, "\(tag)")
            }
            #expect(page.contains("async function answer(") && page.contains("#composer"))
            let addresses = page.matches(of: #/https?:\/\/[^'" ]*/#).map { String($0.0) }
            #expect(Set(addresses) == ["http://www.w3.org/2000/svg"])
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "@import", "url("] {
                #expect(!page.contains(word), "\(word)")
            }
            let markup = try #require(page.components(separatedBy: "<script").first)
            #expect(markup.firstMatch(of: #/<[^>]* (?:on[a-z]+|style)=/#) == nil)
        }
    }

    @Test func headTellsOfThePage() async throws {
        try await serving { client in
            let (head, page) = (
                try await client.ask("HEAD", "/", headers: [:], body: nil), try await client.get("/")
            )
            #expect(head.status == 200 && head.body.isEmpty)
            #expect(head.headers["content-type"] == page.headers["content-type"])
            let length = try #require(head.headers["content-length"].flatMap { Int($0) })
            // Nonces differ by a few letters in length.
            #expect(abs(length - page.body.utf8.count) < 100)
        }
    }

    @Test func thePageIsThereWithoutAKeyAndNothingElse() async throws {
        try await serving(options: { $0.keys = ["first-key"] }) { client in
            let page = try await client.get("/")
            #expect(page.status == 200 && !page.body.contains("first-key"))
            #expect(try await client.get("/v1/models").status == 401)
            #expect(try await client.get("//").status == 401)
            #expect(try await client.get("/nothing").status == 401)
        }
    }

    @Test func aServerMayHaveNone() async throws {
        try await serving(options: { $0.servesPage = false }) { client in
            let status = try await client.get("/").status
            #expect(status == 404)
        }
    }

    @Test(arguments: ["moult-gsa-window", "moult-hybrid", "moult-gsa"])
    func theCardTellsWhatASequenceTakes(_ name: String) async throws {
        let configuration = try tinyModel(name).configuration
        let decoder = configuration.decoder
        try await serving(name) { client in
            let meta = try #require(try await client.get("/v1/models").json["data"]?.arrayValue?[0]["meta"])
            let state = try #require(meta["state"])
            let cost = try configuration.stateCost()
            #expect(state["constant_bytes"]?.integerValue == cost.constant)
            #expect(state["bytes_per_token"]?.integerValue == cost.perToken)
            let windows = try #require(state["windows"]?.arrayValue)
            for tokens in [0, 1, 3, 8, 1000] {
                let unfilled = windows.reduce(0) { sum, window in
                    let most = window["tokens"]?.integerValue ?? 0
                    return sum + (window["bytes_per_token"]?.integerValue ?? 0) * max(0, most - tokens)
                }
                #expect(cost.constant + cost.perToken * tokens - unfilled == cost.bytes(after: tokens))
            }
            // Keys and values of all layers, float32.
            let token = 2 * 4 * decoder.layerCount * decoder.keyValueHeadCount * decoder.headDim
            #expect(state["transformer"]?["bytes_per_token"]?.integerValue == token)
            #expect(meta["sampling"]?["temperature"]?.doubleValue == 0)
        }
    }

    @Test func aTransformerIsItsOwn() async throws {
        try await serving("llama-tied") { client in
            let meta = try await client.get("/v1/models").json["data"]?.arrayValue?[0]["meta"]
            #expect(meta?["state"]?["transformer"] == .null)
            #expect(meta?["state"]?["bytes_per_token"]?.integerValue ?? 0 > 0)
        }
    }

    @Test func timingsCountWhatWasReadAndWritten() async throws {
        try await serving { client in
            var body: JSONObject = [
                "messages": [["role": "user", "content": "Hello"]], "max_tokens": 12, "temperature": 0,
                "timings_per_token": true, "stream_options": ["include_usage": true],
            ]
            for expected in [false, true] {
                body["stream"] = true
                let parts = try await client.post("/v1/chat/completions", .object(body)).parts()
                let counts = parts.compactMap { $0["timings"]?["predicted_n"]?.integerValue }
                #expect(counts == counts.sorted() && counts.first == 0)
                let usage = try #require(parts.last?["usage"])
                let timings = try #require(parts.last { $0["timings"] != nil }?["timings"])
                let (cached, read) = (timings["cache_n"]?.integerValue ?? 0, timings["prompt_n"]?.integerValue ?? 0)
                #expect((cached > 0) == expected, "a prompt that was read before is not read again")
                #expect(usage["prompt_tokens_details"]?["cached_tokens"]?.integerValue == cached)
                #expect(usage["prompt_tokens"]?.integerValue == cached + read)
                #expect(timings["predicted_n"] == usage["completion_tokens"])
                let seconds = (timings["predicted_ms"]?.doubleValue ?? 0) / 1000
                let rate = timings["predicted_per_second"]?.doubleValue ?? 0
                #expect(seconds > 0 && abs(rate * seconds - 11) < 1e-6)
            }
            (body["stream"], body["stream_options"]) = (nil, nil)
            let whole = try await client.post("/v1/chat/completions", .object(body)).json
            #expect(whole["timings"]?["predicted_n"] == whole["usage"]?["completion_tokens"])
            body["timings_per_token"] = nil
            #expect(try await client.post("/v1/chat/completions", .object(body)).json["timings"] == nil)
        }
    }
}
