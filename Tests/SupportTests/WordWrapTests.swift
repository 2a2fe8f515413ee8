import Support
import Testing

@Suite("Lines that end between words")
struct WordWrapTests {
    /// `parts` on a terminal of `width` columns, of which the last stays free.
    private func wrapped(_ parts: [String], _ width: Int) -> String {
        var wrap = WordWrap(width: width)
        return parts.map { wrap.push($0) }.joined() + wrap.finish()
    }

    @Test("however the text comes")
    func words() {
        let text = "The quick brown fox jumps over the lazy dog."
        let lines = "The quick\nbrown fox\njumps over\nthe lazy\ndog."
        #expect(wrapped([text], 11) == lines)
        #expect(wrapped(text.map(String.init), 11) == lines)
        // The words that follow a break may fill their line to the last column but one.
        #expect(wrapped(["aaaa bbbb cc"], 10) == "aaaa bbbb\ncc")
        #expect(wrapped(["aaaa bbbb cc"], 9) == "aaaa\nbbbb cc")
    }

    @Test("line breaks, indentation and blank lines stay; spaces at a break and at a line's end go")
    func breaks() {
        #expect(wrapped(["a\n\n  b c\n- d"], 20) == "a\n\n  b c\n- d")
        #expect(wrapped(["aaaa   bbbb  \ncc"], 7) == "aaaa\nbbbb\ncc")
        // A tabulator goes to the next multiple of 8 columns.
        #expect(wrapped(["a\tbbb"], 12) == "a\tbbb" && wrapped(["a\tbbb"], 11) == "a\nbbb")
    }

    @Test("a word longer than a line is broken where the line ends")
    func long() {
        #expect(wrapped(["aa " + String(repeating: "x", count: 12) + " b"], 6) == "aa\nxxxxx\nxxxxx\nxx b")
    }

    @Test("wide characters take two columns and combining ones none")
    func wide() {
        #expect(TextWidth.columns("日本語") == 6 && TextWidth.columns("e\u{301}") == 1)
        #expect(TextWidth.columns("한국") == 4 && TextWidth.columns("ﾊﾝ") == 2 && TextWidth.columns("Ａ") == 2)
        #expect(TextWidth.columns("🦊") == 2 && TextWidth.columns("→é\u{200B}") == 2)
        #expect(wrapped(["これは長い文です"], 9) == "これは長\nい文です")
        // A sentence's end stays with its last character.
        #expect(wrapped(["これは長。文"], 9) == "これは\n長。文")
        #expect(wrapped(["e\u{301}e\u{301} e\u{301}"], 5) == "e\u{301}e\u{301} e\u{301}")
    }

    @Test("the last word is shown at the end, and not before it has ended")
    func heldBack() {
        var wrap = WordWrap(width: 20)
        #expect(wrap.push("one tw") == "one")
        #expect(wrap.push("o") == "")
        #expect(wrap.finish() == " two")
    }
}
