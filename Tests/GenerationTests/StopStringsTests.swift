import Generation
import Testing

@Suite("Stop strings")
struct StopStringsTests {
    /// The text that is given out for `text` in pieces of `size` characters, and whether a stop was reached.
    private func cut(_ text: String, _ stops: [String], size: Int) throws -> (text: String, isReached: Bool) {
        var matcher = try StopStrings(stops)
        var (rest, found) = (text[...], "")
        while !rest.isEmpty {
            found += matcher.push(String(rest.prefix(size)))
            // Nothing that is given out can be taken back, so no stop may ever be in it.
            for stop in stops { #expect(!found.contains(stop)) }
            rest = rest.dropFirst(size)
        }
        return (found + matcher.finish(), matcher.isReached)
    }

    @Test(
        "the text ends just before the first stop, however it is cut into pieces",
        arguments: [
            ("one\ntwo\nthree", ["\n"], "one", true),
            ("one two", ["\n"], "one two", false),
            ("a User: b", ["User:", "Assistant:"], "a ", true),
            ("a Use", ["User:"], "a Use", false),
            ("aaab", ["aab"], "a", true),
            ("ababac", ["abac"], "ab", true),
            ("naïve ends here", ["ïve"], "na", true),
            // The first to begin is the one that ends the text.
            ("xabcd", ["bc", "abcd"], "x", true),
            ("xabce", ["bc", "abcd"], "xa", true),
            ("xabc", ["bc", "abcd"], "xa", true),
            ("", ["a"], "", false),
            ("anything", [], "anything", false),
        ] as [(String, [String], String, Bool)])
    func cuts(text: String, stops: [String], wanted: String, isReached: Bool) throws {
        for size in 1...12 {
            let found = try cut(text, stops, size: size)
            #expect(found.text == wanted, "pieces of \(size)")
            #expect(found.isReached == isReached, "pieces of \(size)")
        }
    }

    @Test func givesOutWhatIsCertain() throws {
        var matcher = try StopStrings(["END"])
        #expect(matcher.push("some E") == "some ")
        #expect(matcher.push("N") == "")
        #expect(matcher.push("T") == "ENT")
        #expect(matcher.push("END and more") == "")
        #expect(matcher.push("nothing") == "")
        #expect(matcher.finish() == "")
    }

    @Test func refusesAnEmptyString() {
        #expect(throws: GenerationError.self) { try StopStrings(["a", ""]) }
    }
}
