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

    @Test("says where kept attention places tokens")
    func keptPositions() throws {
        let place = try TinyModel()
        func line(_ arguments: String...) throws -> String {
            let output = "\(place.path)/student\(arguments.joined())"
            let result = try MoultProcess(
                arguments: ["convert", place.teacher, "--output", output, "--slots", "4", "--keep-attention", "1"]
                    + arguments)
            #expect(result.status == 0, "\(result.error)")
            let lines = try MoultProcess("inspect", output).output.split(separator: "\n")
            return lines.first { $0.hasPrefix("attention ") }.map(String.init) ?? ""
        }
        #expect(try line() == "attention     the first 4 tokens; kept over the last 4,096 tokens")
        #expect(
            try line("--attention-positions", "4")
                == "attention     the first 4 tokens; kept over the last 4,096 tokens, positions divided by 4")
        #expect(
            try line("--attention-positions", "none", "--attention-log-scale", "--attention-window", "0")
                == "attention     the first 4 tokens; kept over all tokens, without positions, queries scaled by the "
                + "logarithm of the tokens seen")
        let refused = try MoultProcess(
            "convert", place.teacher, "--dry-run", "--keep-attention", "1", "--attention-positions", "half")
        #expect(
            refused.status != 0
                && refused.error.contains("--attention-positions: expected 1 to 1024, or none; found 'half'."),
            "\(refused.error)")
    }
}
