import Support
import Testing

@Suite("Names that were meant, and numbers of bytes")
struct SuggestionTests {
    @Test(
        "the nearest name, where one is near",
        arguments: [
            ("lambda", "lambada"), ("pqia", "piqa"), ("ARC_EASY", "arc_easy"), ("arc-easy", "arc_easy"), ("xyz", nil),
            ("", nil), ("recal", "recall"),
        ] as [(String, String?)])
    func nearest(given: String, meant: String?) {
        #expect(Suggestion.nearest(given, among: ["lambada", "piqa", "arc_easy", "recall"]) == meant)
    }

    @Test(
        "bytes in the unit that fits",
        arguments: [
            (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (38_272, "38.3 kB"),
            (999_600, "1.0 MB"), (269_060_552, "269.1 MB"), (4_610_000_000, "4.6 GB"),
        ])
    func bytes(count: Int, text: String) { #expect(ByteCount.text(count) == text) }
}
