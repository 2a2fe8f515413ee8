import Foundation
import Support
import Testing
import Tokenizers

/// Templates that a stranger wrote to use up time, memory or the stack, and long conversations that must go on working.
@Suite("A template from a stranger can neither hang nor exhaust memory") struct HostileTemplateTests {
    /// Eight megabytes in the variable `s`, and a hundred thousand turns of a loop around what is tried.
    private static func repeated(_ body: String) -> String {
        "{% set s = 'ab' * 3900000 %}{% for i in range(100000) %}\(body){% endfor %}"
    }

    @Test(
        "operations on megabytes end with an error", .timeLimit(.minutes(2)),
        arguments: [
            "{% set x = s | first %}{% set y = s ~ i %}", "{% set x = s | last %}{% set y = s[::-1] %}",
            "{% set x = s.strip() %}", "{% set x = s.strip('ab') %}", "{% set x = s | trim('b') %}",
            "{% set x = s.lstrip('a') == s.rstrip('b') %}", "{% set x = s == s ~ '' %}",
            "{% set x = s < s ~ 'a' %}", "{% set x = s >= s ~ 'a' %}", "{% set x = 'b' * 1000000 in s %}",
            "{% set x = s is in [s ~ 'a', s ~ 'b'] %}", "{% set x = s.split('ab') %}", "{% set x = s.split() %}",
            "{% set x = s.split('b' * 100000) %}", "{% set x = s | replace('b' * 4000, '') %}",
            "{% set x = s | replace('ab', 'abc') %}", "{% set x = s | list %}", "{% set x = s | length %}",
            "{% set x = s[1:] %}", "{% set x = s[::-1] %}", "{% set x = s[3000000] %}", "{% set x = s[-1] %}",
            "{% set x = s | upper %}", "{% set x = s | capitalize %}", "{% set x = s | reverse %}",
            "{% set x = s | join('-') %}", "{% set x = [s, s] | join %}", "{% set x = s | tojson %}",
            "{% set x = [s, s] | string %}", "{% set x = [s] | tojson(indent=16) %}", "{% set x = s | int %}",
            "{% set x = s.startswith(s) %}", "{% set x = s.endswith(s) %}", "{% set x = s ~ 'a' %}",
            "{% set x = s * 1 %}", "{% set x = {s: 1}[s] %}", "{% set x = {s: 1}.get(s) %}",
            "{% set x %}{{ s }}{% endset %}", "{% for c in s %}{% endfor %}", "{{ s }}",
            "{% set x = {'a': s} == {'a': s ~ ''} %}", "{% set x = s is eq(s ~ '') %}",
            "{% set x = [s] == [s ~ ''] %}", "{% set x = s | default('', true) | upper | lower %}",
        ])
    func megabytes(body: String) throws {
        let template = try ChatTemplate(Self.repeated(body))
        #expect(throws: TokenizerError.self) { try template.render(messages: []) }
    }

    @Test(
        "work, memory, nesting and output end with an error", .timeLimit(.minutes(2)),
        arguments: [
            // Values that share their parts: small in memory, without an end when they are gone through.
            "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
            // Values that nest by way of the loop's own variable.
            "{% set ns = namespace(x=[1, 2]) %}{% for i in range(100000) %}{% for e in ns.x %}"
                + "{% if not loop.first %}{% set ns.x = loop | items %}{% endif %}{% endfor %}{% endfor %}",
            // Strings that are kept.
            "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = ns.x + ['a' * 7000000 ~ i] %}"
                + "{% endfor %}",
            "{% set l = range(100000) | list %}{% for i in l %}{% set x = l == l %}{% endfor %}",
            "{% set l = range(100000) | list %}{% for i in l %}{% set x = -1 in l %}{% endfor %}",
            "{% set l = range(100000) | list %}{% for i in l %}{% set x = l + l %}{% endfor %}",
            "{% set l = range(100000) | list %}{% for i in l %}{% set x = l | join %}{% endfor %}",
            "{% set l = range(100000) | list %}{% for i in l %}{% set x = l[::-1] | tojson %}{% endfor %}",
            "{% for i in range(100000) %}{{ 'a' * 1000 }}{% endfor %}",
            "{% for i in range(100000) %}{% for j in range(100000) if j < 0 %}{% endfor %}{% endfor %}",
            String(repeating: "{% for i in range(100000) %}", count: 60) + "{{ messages }}"
                + String(repeating: "{% endfor %}", count: 60),
            "{% set o = {" + (0..<450).map { "'k\($0)': 1" }.joined(separator: ", ") + "} %}"
                + "{% for i in range(100000) %}{% set x = o == o %}{% set y = o.k1 %}{% endfor %}",
        ])
    func work(source: String) throws {
        let template = try ChatTemplate(source)
        #expect(throws: TokenizerError.self) { try template.render(messages: []) }
    }

    @Test(
        "macros, recursive loops, iterators and formats end with an error", .timeLimit(.minutes(2)),
        arguments: [
            // Macros and loops that call themselves, and values that hold one another through them.
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
            "{% macro m(n) %}{{ m(n ~ n) }}{% endmacro %}{{ m('a') }}",
            "{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = ns.x | map('string') %}{% endfor %}",
            "{% set ns = namespace(x=1) %}{% macro m() %}{{ ns.x() }}{% endmacro %}{% set ns.x = m %}{{ m() }}",
            "{{ '%1000000000d' % 1 }}", "{{ '{:>1000000000}'.format(1) }}", "{{ 'a'.center(1000000000) }}",
            "{% for i in range(100000) %}{{ 'ab' * 100000 | replace('', 'c') }}{% endfor %}",
            "{{ [1] * 1000000000000 }}", "{{ 'a' | indent(1000000000) }}", "{{ 2 ** 1000000000000 }}",
        ])
    func growth(source: String) throws {
        let template = try ChatTemplate(source)
        #expect(throws: TokenizerError.self) { try template.render(messages: []) }
    }

    /// What jinja2 3.1 renders.
    @Test(
        "lengths at the edge of what an integer holds are lengths",
        arguments: [
            ("{{ 'abc' | truncate(m) }}", "abc"), ("{{ 'abc' | truncate(3, false, '..', m) }}", "abc"),
            ("{{ 'abcd' | truncate(m, true, 'x', m) }}", "abcd"), ("{{ 'abc' | center(-m) }}", "abc"),
            ("{{ 'abc'.center(-m - 1) }}", "abc"), ("{{ 'abc'.ljust(-m - 1) }}", "abc"),
            ("{{ 'abc'.rjust(-m) }}", "abc"), ("{{ 'abc'.zfill(-m - 1) }}", "abc"),
            ("{{ 'a b' | wordwrap(m) }}", "a b"),
            ("{{ 'a' | indent(-m) }}", "a"), ("{{ [1, 2] | truncate(m, false, '..', m) }}", "[1, 2]"),
        ])
    func edges(body: String, expected: String) throws {
        let text = try ChatTemplate("{% set m = 9223372036854775807 %}" + body).render(messages: [])
        #expect(text == expected)
        #expect(throws: TokenizerError.self) {
            try ChatTemplate("{{ 'abc' | truncate(-9223372036854775807) }}").render(messages: [])
        }
    }

    @Test("a template that is too long, or has too long a name, is refused when it is read")
    func lengths() {
        #expect(
            throws: TokenizerError.template(line: 1, reason: "the template has 1048577 bytes; the limit is 1048576")
        ) {
            try ChatTemplate(String(repeating: "a", count: (1 << 20) + 1))
        }
        #expect(throws: TokenizerError.template(line: 1, reason: "a name of more than 200 characters")) {
            try ChatTemplate("{{ \(String(repeating: "n", count: 201)) }}")
        }
    }

    @Test(
        "long chains of operators do not overflow the stack",
        arguments: [
            "1" + String(repeating: " + 1", count: 990), "x" + String(repeating: "['a']", count: 600),
            "x" + String(repeating: "|string", count: 980), "not " + String(repeating: "1 and ", count: 900) + "1",
        ])
    func chains(expression: String) throws {
        let template = try ChatTemplate("{{ \(expression) }}")
        _ = try? template.render(messages: [], variables: ["x": ["a": "b"]])
    }

    @Test("searching is the same as before, where patterns overlap and where they do not stand")
    func search() throws {
        func render(_ text: String) throws -> String { try ChatTemplate("{{ \(text) }}").render(messages: []) }
        #expect(try render("'aaaa'.split('aa')") == "['', '', '']")
        #expect(try render("'abcabd' | replace('abd', 'x')") == "abcx")
        #expect(try render("'aab' in 'aaab', 'b' in 'a'".split(separator: ",")[0].description) == "True")
        #expect(try render("'é' in 'e\u{301}'") == "False")
        #expect(try render("'b' > 'a\u{10FFFF}'") == "True")
        #expect(try render("'\u{FFFF}' < '\u{10000}'") == "True")
        #expect(try render("'äb' | first ~ ('äb' | last)") == "äb")
        #expect(try render("[1, 'a', none] | join('-')") == "1-a-None")
    }

    @Test("conversations of a megabyte are written by real templates", .timeLimit(.minutes(2)))
    func longConversations() throws {
        let cases = try JSONDecoder().decode([ChatTemplateTests.Case].self, from: try Fixtures.data("templates.json"))
        let sources = Dictionary(cases.map { ($0.template, $0.source) }, uniquingKeysWith: { first, _ in first })
        for (name, source) in sources where name != "features.jinja" && name != "features" {
            let template = try ChatTemplate(source)
            for (turns, length) in [(1, 1_000_000), (100, 10_000), (2_500, 400)] {
                let text = String(repeating: "word ", count: length / 5)
                let messages = (0..<turns).flatMap { _ -> [JSONValue] in
                    [["role": "user", "content": .string(text)], ["role": "assistant", "content": "Yes."]]
                }
                let written = try template.render(
                    messages: messages, variables: ["bos_token": "<s>", "eos_token": "</s>"])
                #expect(written.utf8.count > turns * length, "\(name), \(turns) turns")
            }
        }
    }
}
