import Foundation
import Generation
import Serving
import Support
import TestSupport
import Testing

@Suite("Serving: the memory at a token")
struct MemoryTests {
    private static let text = "The quick brown fox jumps over the lazy dog"

    @Test func whatSlotsDoWithATokenOfATextOrAConversation() async throws {
        let (tokenizer, model) = (
            try asciiTokenizer(chatTemplate: chatTemplate, pieces: true), try tinyModel("moult-gsa-window")
        )
        let ids = try tokenizer.encode(Self.text, addSpecialTokens: false)
        try await serving { client in
            for position in [1, 20, ids.count] {
                let reply = try await client.post(
                    "/memory",
                    ["prompt": .string(Self.text), "position": .integer(position), "add_special_tokens": false])
                #expect(reply.status == 200, "\(reply.body)")
                let letter = Array(Self.text)[position - 1]
                #expect(reply.json["token"]?["text"] == .string(String(letter)))
                let state = try model.makeState()
                if position > 1 { _ = try model.nextLogits(Array(ids[..<(position - 1)]), state: state) }
                let expected = try model.memoryUses(of: ids[position - 1], state: state)
                let layers = try #require(reply.json["layers"]?.arrayValue)
                #expect(layers.count == expected.count && layers.count == model.configuration.decoder.layerCount)
                for (layer, use) in zip(layers, expected) {
                    func check(_ found: JSONValue?, _ values: [Float]?) {
                        let found = found?.arrayValue?.compactMap(\.doubleValue) ?? []
                        #expect(found.count == values?.count)
                        #expect(zip(found, values ?? []).allSatisfy { abs($0 - Double($1)) < 2e-5 })
                    }
                    check(layer["slots"]?["kept"], use.slots?.kept)
                    check(layer["slots"]?["read"], use.slots?.read)
                    check(layer["kept"], use.kept)
                    check(layer["norms"], use.norms)
                    check(layer["window_shares"], use.windowShares)
                }
            }
            // The last token unless another is meant; of a conversation, too.
            let messages: JSONValue = [["role": "user", "content": "Hello"]]
            let whole = try await client.post("/memory", ["messages": messages])
            let count = try await client.post("/tokenize", ["messages": messages]).json["count"]
            #expect(whole.json["position"] == count && whole.json["object"] == "memory")
            // A question that was read before is not read again.
            let before = try await client.get("/metrics").body
            _ = try await client.post("/memory", ["messages": messages])
            let after = try await client.get("/metrics").body
            func read(_ metrics: String) -> Substring? {
                metrics.split(separator: "\n").first { $0.hasPrefix("moult:prompt_tokens_total{") }
            }
            #expect(read(before) == read(after))
        }
    }

    @Test func whatHasNoSlots() async throws {
        try await serving("moult-gla") { client in
            let layers = try await client.post("/memory", ["prompt": "Hello"]).json["layers"]?.arrayValue
            #expect(layers?.isEmpty == false)
            for layer in layers ?? [] {
                #expect(layer["slots"] == .null && layer["mixer"] == "gla")
                #expect(layer["norms"]?.arrayValue?.count == layer["heads"]?.arrayValue?.count)
            }
        }
        try await serving("llama-tied") { client in
            let reply = try await client.post("/memory", ["prompt": "Hello"])
            #expect(reply.json["layers"] == .array([]), "\(reply.body)")
        }
    }

    @Test func whatIsRefused() async throws {
        try await serving { client in
            for (body, param) in [
                (["prompt": "abc", "position": 0], "position"),
                (["prompt": "abc", "position": 4, "add_special_tokens": false], "position"),
                (["prompt": "abc", "layer": 1], "layer"), ([:], "prompt"), (["content": ""], "prompt"),
            ] as [(JSONValue, String)] {
                let reply = try await client.post("/memory", body)
                #expect(reply.status == 400 && reply.json["error"]?["param"] == .string(param), "\(reply.body)")
            }
        }
        try await serving(options: { $0.scheduler.reuse = .none }) { client in
            let reply = try await client.post("/memory", ["prompt": "abc"])
            #expect(reply.status == 501 && reply.json["error"]?["code"] == "not_supported")
        }
    }
}
