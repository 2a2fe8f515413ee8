import Foundation
import Support
import Testing
import Tokenizers

/// Templates rendered as Hugging Face transformers renders them, and templates that are refused.
@Suite struct ChatTemplateTests {
    struct Case: Decodable {
        var template: String
        var source: String
        var messages: String
        var variables: String
        var addGenerationPrompt: Bool
        /// nil where transformers throws.
        var text: String?
    }

    private static func render(_ source: String, _ messages: [JSONValue] = []) throws -> String {
        try ChatTemplate(source).render(messages: messages)
    }

    @Test func rendersAsTransformers() throws {
        let cases = try JSONDecoder().decode([Case].self, from: try Fixtures.data("templates.json"))
        for (index, expected) in cases.enumerated() {
            let messages = try JSONValue(parsing: expected.messages)
            let variables = try JSONValue(parsing: expected.variables)
            guard case .array(let messages) = messages, case .object(let variables) = variables else {
                Issue.record("the fixture \(index) is not a conversation")
                continue
            }
            let render = {
                try ChatTemplate(expected.source).render(
                    messages: messages, addGenerationPrompt: expected.addGenerationPrompt,
                    variables: Dictionary(variables.pairs.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }))
            }
            if let text = expected.text {
                do {
                    let rendered = try render()
                    #expect(rendered == text, "\(expected.template), case \(index)")
                } catch {
                    Issue.record("\(expected.template), case \(index): \(error)")
                }
            } else {
                #expect(throws: TokenizerError.self, "\(expected.template), case \(index)") { try render() }
            }
        }
    }

    @Test(arguments: [
        ("a\n{% do 1 %}", 2, "the statement \"do\" is not known"),
        ("{% if true %}", 1, "no endif for this statement"),
        ("{{ 1 ", 1, "a tag without }}"),
        ("{{ 1 2 }}", 1, "something that is not supported at the end of a tag"),
    ])
    func refusesWhenRead(source: String, line: Int, reason: String) {
        #expect(throws: TokenizerError.template(line: line, reason: reason)) { try ChatTemplate(source) }
    }

    @Test(
        "what is not known, or needs another template, is an error only where it is reached",
        arguments: [
            ("\n\n{{ x | sorted }}", 3, "the filter \"sorted\" is not known"),
            ("{{ x is missing }}", 1, "the test \"missing\" is not known"),
            ("{{ missing() }}", 1, "the function \"missing\" is not known"),
            ("{{ ''.missing() }}", 1, "the method \"missing\" of \"\" is not known"),
            ("{% include 'a' %}", 1, "\"include\" needs another template; a chat template stands alone"),
            ("{% import 'a' as b %}", 1, "\"import\" needs another template; a chat template stands alone"),
        ])
    func refusesWhenReached(source: String, line: Int, reason: String) throws {
        #expect(throws: TokenizerError.template(line: line, reason: reason)) { try Self.render(source) }
        #expect(try Self.render("{% if false %}" + source + "{% endif %}x") == "x")
    }

    @Test(arguments: [
        "{{ cycler() }}", "{{ [].append(1) }}", "{{ missing.name }}", "{{ 1 // 0 }}", "{{ 9223372036854775807 + 1 }}",
        "{{ 'x' * 9000000 }}", "{{ [] < 1 }}", "{% for a, b in [1] %}{% endfor %}", "{{ range(1, 1000000000) }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    ])
    func refusesWhenRendered(source: String) {
        #expect(throws: TokenizerError.self) { try Self.render(source) }
    }

    @Test func limitsNesting() {
        let opening = String(repeating: "(", count: 100_000)
        #expect(throws: TokenizerError.self) { try ChatTemplate("{{ " + opening + "1 }}") }
        #expect(throws: TokenizerError.self) { try ChatTemplate(String(repeating: "{% if true %}", count: 100_000)) }
        #expect(throws: TokenizerError.self) {
            try ChatTemplate("{{ " + String(repeating: "not ", count: 100_000) + "1 }}")
        }
    }

    @Test func passesOnWhatATemplateRaises() {
        #expect(throws: TokenizerError.templateRaised(message: "no")) { try Self.render("{{ raise_exception('no') }}") }
    }

    /// Written by transformers 5.24, which gives reasoning the names that templates read it by.
    @Test(arguments: [
        (
            #"{"role": "assistant", "reasoning": "a"}"#,
            "{'thinking': 'a', 'role': 'assistant', 'reasoning': 'a', 'reasoning_content': 'a'}"
        ),
        (#"{"thinking": "a", "reasoning_content": null}"#, "{'thinking': 'a', 'reasoning_content': 'a'}"),
        (#"{"reasoning_content": "", "thinking": "b"}"#, "{'thinking': 'b', 'reasoning_content': ''}"),
        (#"{"content": "c", "thinking": null}"#, "{'content': 'c', 'thinking': None}"),
    ])
    func namesReasoning(message: String, text: String) throws {
        #expect(try Self.render("{{ messages[0] }}", [JSONValue(parsing: message)]) == text)
    }

    @Test func comparesByCodePoints() throws {
        #expect(try Self.render("{{ 'é' == 'e\u{301}' }}") == "False")
    }
}
