import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

@Suite("Commands read text as train does")
struct TextFormatTests {
    private let place: TinyModel
    private let lines: String

    init() throws {
        place = try TinyModel()
        lines = (0..<60).map { "{\"text\": \"The fox \($0 * $0 % 97) jumps.\", \"body\": \"Over the \($0)th dog.\"}\n" }
            .joined()
    }

    private func perplexity(_ data: String, _ options: String...) throws -> JSONObject {
        try MoultProcess(
            arguments: ["perplexity", place.teacher, "--data", data, "--window", "64", "--json"] + options
        ).json()
    }

    @Test("perplexity: one text, compressed or not")
    func oneText() throws {
        let packed = try place.folder.write("text.txt.gz", gzipped(place.bytes("text.txt")))
        try FileManager.default.copyItem(atPath: place.text, toPath: "\(place.path)/text")
        let expected = try perplexity(place.text)["perplexity"]
        #expect(expected != nil && expected != .null)
        for path in [packed, "\(place.path)/text"] { #expect(try perplexity(path)["perplexity"] == expected) }
    }

    @Test("perplexity: documents of lines, folders and patterns, by the key that is asked for")
    func documents() throws {
        let path = try place.folder.write("data/lines.jsonl", lines)
        let plain = try perplexity(path)
        #expect((plain["tokens"]?.integerValue ?? 0) > 200)
        for other in ["\(place.path)/data", "\(place.path)/data/*.jsonl"] {
            #expect(try perplexity(other)["perplexity"] == plain["perplexity"])
        }
        let packed = try place.folder.write("packed/lines.ndjson.gz", gzipped(lines.utf8))
        #expect(try perplexity(packed)["perplexity"] == plain["perplexity"])
        let body = try perplexity(path, "--text-key", "body")["perplexity"]
        #expect(body != nil && body != plain["perplexity"])
        let some = try perplexity(path, "--limit", "2")
        #expect(some["windows"] == 2 && some["available_windows"] == .null)
        let parquet = "\(packageRoot)/Tests/TextTests/Fixtures/gzip.parquet"
        #expect(try perplexity(parquet)["tokens"]?.integerValue ?? 0 > 200)
    }

    @Test("perplexity refuses what train refuses")
    func refused() throws {
        let path = try place.folder.write("lines.jsonl", lines)
        expectFailure(
            try MoultProcess("perplexity", place.teacher, "--data", path, "--text-key", "none"), "lines.jsonl",
            "line 1",
            "\"none\"")
        expectFailure(
            try MoultProcess("perplexity", place.teacher, "--data", "\(place.path)/*.parquet"), "nothing matches")
        expectFailure(
            try MoultProcess("perplexity", place.teacher, "--data", path, "--max-line-bytes", "1"), "--max-line-bytes")
    }

    @Test("select, quantize and generate")
    func others() throws {
        let data = try place.folder.write("lines.jsonl.gz", gzipped(lines.utf8))
        let model = try place.converted()
        let selected = try MoultProcess(
            "select", model, "--teacher", place.teacher, "--heads", "1", "--data", data, "--json"
        ).json()
        #expect(selected["student"]?["divergence"]?.doubleValue != nil)
        let prompts = try place.folder.write(
            "prompts.jsonl.gz", gzipped("{\"prompt\": \"The fox\"}\n{\"prompt\": \"A dog\"}\n".utf8))
        let generated = try MoultProcess("generate", model, "--prompts", prompts, "--max-tokens", "2")
        #expect(generated.status == 0 && generated.output.split(separator: "\n").count == 2, "\(generated.error)")
    }
}
