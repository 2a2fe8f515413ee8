import Support
import Testing

@Suite("Text of others, as it is shown")
struct ForeignTextTests {
    @Test(
        "control characters are written as in JSON",
        arguments: [
            ("\u{1B}[31mred\u{7}", "\\u001b[31mred\\u0007"), ("a\nb\tc\r\nd", "a\\nb\\tc\\r\\nd"),
            ("\u{9B}2J\u{7F}", "\\u009b2J\\u007f"), ("user\u{202E}txt.exe", "user\\u202etxt.exe"),
            ("\u{2066}x\u{2069}\u{200F}\u{2028}", "\\u2066x\\u2069\\u200f\\u2028"), ("\u{E0041}", "\\udb40\\udc41"),
            ("\0", "\\u0000"), ("C:\\names stay: é 日本 👩‍👩‍👧 ½", "C:\\names stay: é 日本 👩‍👩‍👧 ½"), ("", ""),
        ])
    func line(_ text: String, _ shown: String) {
        #expect(ForeignText.line(text) == shown)
    }

    @Test("a long text is cut about its middle, and not copied for that")
    func cut() {
        let digits = String(repeating: "0123456789", count: 100_000)
        #expect(ForeignText.line(digits, limit: 10) == "012345…789")
        #expect(ForeignText.line("0123456789", limit: 10) == "0123456789")
        // What is shown is counted.
        #expect(ForeignText.line(String(repeating: "\u{1B}", count: 9), limit: 13) == "\\u001b…")
        #expect(ForeignText.line("model.safetensors: " + digits).count == 500)
        #expect(ForeignText.line("model.safetensors: " + digits + " is too long").hasPrefix("model.safetensors: 0123"))
        #expect(ForeignText.line("model.safetensors: " + digits + " is too long").hasSuffix("89 is too long"))
    }

    @Test("lines stay lines")
    func lines() {
        #expect(ForeignText.lines("a\tb\n\u{1B}c\r\n\n") == "a\tb\n\\u001bc\\r\n\n")
        #expect(ForeignText.lines("x\n" + String(repeating: "y", count: 501)).count == 502)
    }

    @Test("for a terminal, the whole text without control characters")
    func whole() {
        #expect(
            ForeignText.whole("one\n\ttwo\r\nthree \u{1B}]0;title\u{7}") == "one\n\ttwo\nthree \\u001b]0;title\\u0007")
        let long = String(repeating: "é", count: 10_000)
        #expect(ForeignText.whole(long) == long)
        #expect(ForeignText.whole("\u{202E}" + long) == "\\u202e" + long)
    }
}
