import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

/// Models and prompts as other people's programs leave them, through the commands.
@Suite("Other people's models")
struct ForeignModelTests {
    private let tiny: TinyModel
    /// <|end_of_text|>, which neither the model nor its tokenizer names as an end.
    private let ending = ["--logit-bias", "2001=1000", "--max-tokens", "3", "--json"]

    init() throws { tiny = try TinyModel() }

    private func end(_ arguments: [String]) throws -> JSONValue? {
        try MoultProcess(arguments: ["generate", tiny.teacher, "--prompt", "The fox"] + arguments + ending).json()[
            "end"]
    }

    @Test("a stop string that is a special token ends the text there")
    func stopsAtSpecialTokens() throws {
        #expect(try end([]) == "limit")
        #expect(try end(["--stop", "<|end_of_text|>"]) == "stopToken")
        let prompts = try tiny.write("prompts.txt", "The fox\n")
        let batch = try MoultProcess(
            arguments: ["generate", tiny.teacher, "--prompts", prompts, "--stop", "<|end_of_text|>"]
                + ending.dropLast())
        #expect(batch.output.contains(#""end":"stopToken""#), "\(batch.error)")
    }

    @Test("end tokens of generation_config.json count, and are written with every profile")
    func endTokens() throws {
        try tiny.write("teacher/generation_config.json", #"{"eos_token_id": [2001, 2002]}"#)
        #expect(try end([]) == "stopToken")
        for profile in ["fla", "softmax-preserving"] {
            let output = "\(tiny.path)/\(profile)"
            let result = try MoultProcess("convert", tiny.teacher, "--output", output, "--profile", profile)
            #expect(result.status == 0, "\(result.error)")
            let json = try JSONValue(file: output + "/config.json")
            #expect(json["eos_token_id"] == [2, 2001, 2002])
            #expect(try JSONValue(file: output + "/generation_config.json")["eos_token_id"] == [2001, 2002])
        }
    }

    @Test("a folder of links is converted and quantised into files")
    func linksBecomeFiles() throws {
        let manager = FileManager.default
        let repository = "\(tiny.path)/hub/models--org--tiny", snapshot = "\(repository)/snapshots/abc"
        try manager.createDirectory(atPath: snapshot, withIntermediateDirectories: true)
        try manager.moveItem(atPath: tiny.teacher, toPath: "\(repository)/blobs")
        try tiny.write("hub/models--org--tiny/refs/main", "abc")
        for name in try manager.contentsOfDirectory(atPath: "\(repository)/blobs") {
            try manager.createSymbolicLink(atPath: "\(snapshot)/\(name)", withDestinationPath: "../../blobs/\(name)")
        }
        for (command, more) in [("convert", []), ("quantize", ["--bits", "8"])] {
            for (index, source) in [snapshot, repository].enumerated() {
                let output = "\(tiny.path)/\(command)-\(index)"
                let result = try MoultProcess(arguments: [command, source, "--output", output] + more)
                #expect(result.status == 0, "\(result.error)")
                for name in try manager.contentsOfDirectory(atPath: output) {
                    let type = try manager.attributesOfItem(atPath: "\(output)/\(name)")[.type] as? FileAttributeType
                    #expect(type == .typeRegular, "\(name)")
                }
                let name = "tokenizer.json"
                let copy = manager.contents(atPath: "\(output)/\(name)")
                #expect(copy == manager.contents(atPath: "\(snapshot)/\(name)"))
            }
        }
    }

    @Test("prompts with Windows' line ends and a mark are those without", arguments: ["txt", "jsonl"])
    func prompts(ending: String) throws {
        let lines = ending == "txt" ? ["The fox", "A dog"] : [#"{"prompt": "The fox"}"#, #"{"prompt": "A dog"}"#]
        let texts = [
            ("unix", lines.joined(separator: "\n")),
            ("windows", "\u{FEFF}" + lines.joined(separator: "\r\n") + "\r\n"),
        ]
        let outputs = try texts.map { name, text in
            let file = try tiny.write("\(name).\(ending)", text)
            return try MoultProcess("generate", tiny.teacher, "--prompts", file, "--max-tokens", "2").output
        }
        #expect(outputs[0] == outputs[1] && outputs[0].contains(#""prompt":"The fox""#))
    }

    @Test("UTF-16 is refused by name")
    func otherEncodings() throws {
        let text = try #require("The fox".data(using: .utf16LittleEndian))
        let file = try tiny.folder.write("prompt.txt", [0xFF, 0xFE] + text)
        let result = try MoultProcess("generate", tiny.teacher, "--prompt-file", file)
        #expect(result.status != 0 && result.error.contains("UTF-16; convert it with: iconv -f UTF-16 -t UTF-8"))
    }

    /// Logits of the last of 12 and of 48 tokens by transformers 5.24.0, in float32: the likeliest three.
    @Test(
        "scaled positions are those of transformers",
        arguments: [
            (
                #"{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}"#, 64, 48,
                [930, 441, 497], [6.42699, 6.21465, 6.05684]
            ),
            (#"{"rope_type": "dynamic", "factor": 2.0}"#, 24, 12, [1481, 1046, 1164], [8.20719, 6.80192, 6.79484]),
            (#"{"rope_type": "dynamic", "factor": 2.0}"#, 24, 48, [491, 833, 497], [7.13725, 6.0544, 5.84765]),
            (
                """
                {"rope_type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.5, 2.0, 4.0, 8.0],
                 "original_max_position_embeddings": 16}
                """, 64, 48, [1770, 433, 1925], [6.6411, 6.29243, 6.15299]
            ),
        ] as [(String, Int, Int, [Int], [Float])])
    func positions(scaling: String, longest: Int, count: Int, tokens: [Int], values: [Float]) throws {
        var json = try #require(try JSONValue(file: tiny.teacher + "/config.json").objectValue)
        json["rope_parameters"] = nil
        json["rope_theta"] = 10_000.0
        json["max_position_embeddings"] = .integer(longest)
        json["rope_scaling"] = try JSONValue(parsing: Data(scaling.utf8), file: "scaling")
        try tiny.write("teacher/config.json", JSONValue.object(json).text())
        let ids = try tiny.write(
            "ids.json", "[[" + Self.ids.prefix(count).map(String.init).joined(separator: ",") + "]]")
        let output = "\(tiny.path)/logits"
        let result = try MoultProcess(
            "debug-logits", tiny.teacher, "--tokens", ids, "--output", output, "--dtype", "f32")
        #expect(result.status == 0, "\(result.error)")
        let last = try SafetensorsCheckpoint(path: output).load("logits").array(Float.self).suffix(2003)
        let logits = Array(last)
        #expect(zip(tokens, values).allSatisfy { abs(logits[$0] - $1) < 1e-4 })
        #expect(logits.indices.max { logits[$0] < logits[$1] } == tokens[0])
    }

    private static let ids = [
        1654, 1814, 1468, 1715, 1308, 1589, 732, 603, 1857, 1928, 721, 481, 1091, 164, 1218, 856,
        1241, 833, 289, 1778, 1516, 574, 1591, 889, 1444, 1906, 699, 799, 209, 1325, 1371, 152,
        1003, 1235, 1590, 1220, 162, 784, 811, 198, 1948, 1118, 306, 759, 291, 352, 1158, 1080,
    ]
}
