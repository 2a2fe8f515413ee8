import Support
import Testing

@Suite("Numbers of the report")
struct FiguresTests {
    @Test func short() {
        let expected: [(Double, String)] = [
            (0, "0"), (512, "512"), (999.7, "999.7"), (9999, "9999"), (9999.8, "10k"), (10_000, "10k"),
            (12_400, "12.4k"), (999_999, "1M"),
            (1_234_567, "1.23M"), (16.4e6, "16.4M"), (4.6e9, "4.6B"), (3e-5, "3e-5"), (1.25e-5, "1.25e-5"),
            (0.0003, "0.0003"), (0.05289, "0.0529"), (-12_400, "-12.4k"), (.nan, "not finite"),
        ]
        for (value, text) in expected { #expect(Figures.short(value) == text) }
    }

    @Test func others() {
        #expect(Figures.bytes(980) == "980 B")
        #expect(Figures.bytes(3_640_000) == "3.64 MB")
        #expect(Figures.bytes(999_999) == "1 MB")
        #expect(Figures.perplexity(22.364) == "22.36")
        #expect(Figures.perplexity(132.68) == "132.7")
        #expect(Figures.perplexity(7056) == "7,056")
        #expect(Figures.perplexity(.infinity) == "not finite")
        #expect(Figures.grouped(-1_234_567) == "-1,234,567")
        #expect(Figures.grouped(.min).hasPrefix("-9,223,"))
        #expect(Figures.duration(41.2) == "41 s")
        #expect(Figures.duration(725) == "12 min 5 s")
        #expect(Figures.duration(7980) == "2 h 13 min")
        #expect(Figures.duration(273_600) == "3 d 4 h")
        #expect(Figures.duration(-1) == "0 s")
    }
}
