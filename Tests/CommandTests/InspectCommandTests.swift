import Testing

@Suite("moult inspect")
struct InspectCommandTests {
    @Test(
        "says positions where there are some",
        arguments: [
            ("fla-gsa-tied", "positions     none\n"),
            ("fla-gsa-hybrid", "positions     RoPE, theta 500, of softmax attention alone\n"),
            ("moult-gsa", "positions     RoPE, theta 100000\n"),
        ])
    func positions(fixture: String, line: String) throws {
        let result = try MoultProcess("inspect", "\(packageRoot)/Tests/ModelsTests/Fixtures/\(fixture)")
        #expect(result.status == 0 && result.output.contains(line), "\(result.output)")
    }
}
