import Checkpoints
import Support
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

    @Test("says what a sequence takes with keys and values in fewer bits, which other commands take")
    func cacheTypes() throws {
        let place = try TinyModel()
        let model = try place.converted()
        // A layer holds 4 sinks and 4 tokens, a head of 8 each; slots take the rest.
        let state = try MoultProcess("inspect", model, "--json").json()["state"]
        func bytes(_ state: JSONValue?) -> Int? {
            state?["constant_bytes"]?.doubleValue.map { Int($0) }
        }
        let plain = try #require(bytes(state))
        let layers = 2
        #expect(bytes(state?["bf16"]) == plain - layers * 8 * 2 * 8 * 2)
        #expect(bytes(state?["q8"]) == plain - layers * 8 * 2 * (32 - 12))
        for type in ["f32", "bf16", "q8"] {
            let result = try MoultProcess(
                "generate", model, "--prompt", "The fox", "--max-tokens", "5", "--cache-type", type)
            #expect(result.status == 0, "\(result.error)")
        }
        let refused = try MoultProcess(
            "generate", model, "--prompt", "x", "--device", "cuda", "--cache-type", "q8")
        #expect(
            refused.status != 0
                && refused.error.contains(
                    "--cache-type: expected bf16 with --device cuda, as keys and values are held there; found q8."),
            "\(refused.error)")
    }
}
