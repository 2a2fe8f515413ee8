import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

/// Files of a model that begin with a mark of UTF-8, as some editors write them, and in UTF-16.
@Suite("Marked files of a model")
struct MarkedFileTests {
    private let tiny: TinyModel
    init() throws { tiny = try TinyModel() }

    private func prompt(_ template: String, encoding: String.Encoding = .utf8) throws -> MoultProcess {
        let data = try #require(("\u{FEFF}" + template).data(using: encoding))
        try tiny.folder.write("teacher/chat_template.jinja", data)
        return try MoultProcess(
            "generate", tiny.teacher, "--prompt", "The fox", "--chat", "--max-tokens", "1", "--json")
    }

    @Test("a mark changes nothing")
    func marks() throws {
        let ids = try MoultProcess("debug-tokens", tiny.teacher, "--data", tiny.text).output
        for name in ["tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"] {
            guard let text = tiny.text("teacher/\(name)") else { continue }
            try tiny.write("teacher/\(name)", "\u{FEFF}" + text)
        }
        #expect(try MoultProcess("debug-tokens", tiny.teacher, "--data", tiny.text).output == ids)
        let marked = try prompt("{{ messages[0].content }}").json()["prompt_tokens"]
        try tiny.write("teacher/chat_template.jinja", "{{ messages[0].content }}")
        let plain = try MoultProcess(
            "generate", tiny.teacher, "--prompt", "The fox", "--chat", "--max-tokens", "1", "--json")
        #expect(try marked == plain.json()["prompt_tokens"])
    }

    @Test("UTF-16 is refused by name", arguments: ["tokenizer.json", "chat_template.jinja"])
    func otherEncodings(name: String) throws {
        let data = try #require((tiny.text("teacher/\(name)") ?? "x").data(using: .utf16LittleEndian))
        try tiny.folder.write("teacher/\(name)", [0xFF, 0xFE] + data)
        let result = try MoultProcess("generate", tiny.teacher, "--prompt", "x")
        #expect(result.status == 1 && result.error.contains("\(name)") && result.error.contains("UTF-16"))
    }

    /// SPECIAL_TOKENS_ATTRIBUTES of transformers 5: what apply_chat_template gives to a template.
    @Test("a template gets all named special tokens")
    func templateTokens() throws {
        var json = try #require(try JSONValue(file: "\(tiny.teacher)/tokenizer_config.json").objectValue)
        json["sep_token"] = "<|end_of_text|>"
        json["cls_token"] = "<|end_of_text|>"
        json["mask_token"] = "<|end_of_text|>"
        try tiny.write("teacher/tokenizer_config.json", JSONValue.object(json).text())
        let result = try prompt("{{ raise_exception(sep_token ~ '|' ~ cls_token ~ '|' ~ mask_token) }}")
        #expect(
            result.error.contains("<|end_of_text|>|<|end_of_text|>|<|end_of_text|>"), "\(result.error)")
    }
}
