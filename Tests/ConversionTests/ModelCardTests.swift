import Checkpoints
import Conversion
import Foundation
import Models
import Tensors
import TestSupport
import Testing

@Suite("Model cards")
struct ModelCardTests {
    private func convert(_ source: String, to output: String) throws {
        var options = ConversionOptions()
        (options.slots, options.window) = (12, 8)
        _ = try Converter(ModelFiles.open(source), options: options).run(output: output)
    }

    private func quantise(_ source: String, to output: String) throws {
        var options = QuantisationOptions()
        (options.bits, options.calibration, options.calibrationText) = (4, [[1, 2, 3, 4, 5]], "words.txt")
        _ = try ModelQuantiser(ModelFiles.open(source), options: options).run(output: output)
    }

    private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    private func write(_ text: String, to path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// The lines between the first two lines of dashes.
    private func frontMatter(_ card: String) -> [String] {
        Array(card.split(separator: "\n").dropFirst().prefix { $0 != "---" }).map(String.init)
    }

    private static let published = """
        ---
        language:
        - en
        license: apache-2.0  # as we were told
        tags: [small, "text"]
        ---

        # Tiny
        """

    @Test("of a conversion: where it comes from, its licence, and that it is not trained")
    func conversion() throws {
        let source = try SourceModel("llama-tied")
        let folder = try TemporaryFolder()
        let original = "\(folder.path)/models--Owner--Tiny-1.5/snapshots/0123abc"
        try FileManager.default.createDirectory(
            atPath: URL(fileURLWithPath: original).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: source.path, toPath: original)
        try write(Self.published, to: "\(original)/README.md")
        try convert(original, to: "\(folder.path)/my student")
        #expect(
            try text("\(folder.path)/my student/README.md") == """
                ---
                library_name: moult
                pipeline_tag: text-generation
                base_model: "Owner/Tiny-1.5"
                license: "apache-2.0"
                tags: ["gated-slot-attention", "linear-attention", "recurrent", "softmax-preserving"]
                ---

                # my student

                Owner/Tiny-1.5 (llama), converted to a recurrent model by Moult. The memory of a sequence does not grow with its length.

                | | |
                |---|---|
                | base model | Owner/Tiny-1.5 |
                | licence | apache-2.0 (the source's, by its README.md) |
                | layers | 2 |
                | hidden size, heads, key/value heads, head dim | 48, 6, 2, 8 |
                | parameters | 28,524 |

                ## Converted

                By Moult 0.1.0: Gated Slot Attention (arXiv 2409.07146), profile `softmax-preserving`, 12 slots per key/value head, beside softmax attention over the first 4 and the last 8 tokens. Seed of new parameters: 0.

                **Not trained since the conversion.**

                | | tensors | parameters | share |
                |---|---:|---:|---:|
                | reused from the source | 20 | 25,584 | 89.69% of this model |
                | initialised | 8 | 2,940 | 10.31% of this model |
                | dropped from the source | 0 | 0 | 0.00% of the source |

                | new parameter | tensors | parameters | initialised as |
                |---|---:|---:|---|
                | `model.layers.*.self_attn.gate_proj.weight` | 2 | 2,304 | normal, standard deviation of outputs 0.08 |
                | `model.layers.*.self_attn.gate_proj.bias` | 2 | 48 | 12 half-lives log-spaced from 2 to 4096 tokens |
                | `model.layers.*.self_attn.window_proj.weight` | 2 | 576 | zero |
                | `model.layers.*.self_attn.window_proj.bias` | 2 | 12 | constant 2.5 |

                Every tensor is listed in `conversion.json`.

                What the model recalls of a long context has not been measured here, and perplexity does not show it: `moult evaluate --tasks recall` does.

                Earlier cards, as they were: `README.source.md`.

                ## Use

                    moult generate 'my student' --prompt "Once upon a time"
                    moult perplexity 'my student' --data text.txt

                """)
        #expect(try text("\(folder.path)/my student/README.source.md") == Self.published)
    }

    @Test(
        "the licence is the source's own, or unknown",
        arguments: [
            (nil, ["license: \"unknown\""], "unknown: the source's files do not say it"),
            ("# No front matter\n", ["license: \"unknown\""], "unknown: the source's files do not say it"),
            ("---\nlicense: mit\n", ["license: \"unknown\""], "unknown: the source's files do not say it"),
            ("---\nlicense: &x\n- mit\n---\n", ["license: \"unknown\""], "unknown: the source's files do not say it"),
            ("---\nlicense: mit\n---\n", ["license: \"mit\""], "mit (the source's, by its README.md)"),
            ("---\r\nlicense: 'mit'\r\n---\r\n", ["license: \"mit\""], "mit (the source's, by its README.md)"),
            ("---\nlicense:\n  - mit\n  - gpl\n---\n", ["license: \"mit\""], "mit (the source's, by its README.md)"),
            ("---\nlicense: [mit, gpl]\n---\n", ["license: \"mit\""], "mit (the source's, by its README.md)"),
            (
                "---\nlicense: other\nlicense_name: \"a \\\"b\\\": c\"\nlicense_link: https://x/y#z\n---\n",
                ["license: \"other\"", "license_name: \"a \\\"b\\\": c\"", "license_link: \"https://x/y#z\""],
                "other, a \"b\": c, https://x/y\\#z (the source's, by its README.md)"
            ),
            (
                "---\nlicense: \"m\\nit | x\\u0007\"\n---\n", ["license: \"m it | x \""],
                "m it \\| x  (the source's, by its README.md)"
            ),
        ] as [(String?, [String], String)])
    func licence(card: String?, front: [String], row: String) throws {
        let source = try SourceModel("llama-tied")
        let folder = try TemporaryFolder()
        if let card { try write(card, to: "\(source.path)/README.md") }
        try convert(source.path, to: "\(folder.path)/out")
        let card = try text("\(folder.path)/out/README.md")
        let name = URL(fileURLWithPath: source.path).lastPathComponent
        #expect(
            frontMatter(card) == [
                "library_name: moult", "pipeline_tag: text-generation",
                "# The name of its folder or file: what the Hub calls it is not known.", "base_model: \"\(name)\"",
            ] + front + [
                "tags: [\"gated-slot-attention\", \"linear-attention\", \"recurrent\", \"softmax-preserving\"]"
            ])
        #expect(card.contains("\n| licence | \(row) |\n"), "\(card)")
    }

    @Test("of a chain: what came before stays, and what was not so any more goes")
    func chain() throws {
        let source = try SourceModel("llama-linear-rope")
        let folder = try TemporaryFolder()
        let (rounded, student, again) = ("\(folder.path)/q4", "\(folder.path)/student", "\(folder.path)/student-q4")
        try write(Self.published, to: "\(source.path)/README.md")
        try quantise(source.path, to: rounded)
        var card = try text("\(rounded)/README.md")
        let name = URL(fileURLWithPath: source.path).lastPathComponent
        #expect(
            card.contains(
                "\n\(name) (llama), rounded to 4 bits by Moult. The memory of a sequence grows with its length.\n"))
        #expect(!card.contains("recurrent") && !card.contains("recalls"))
        try convert(rounded, to: student)
        try quantise(student, to: again)
        card = try text("\(again)/README.md")
        #expect(
            card.contains(
                "\n\(name) (llama), rounded to 4 bits, converted to a recurrent model, rounded to 4 bits by Moult. "
                    + "The memory of a sequence does not grow with its length.\n"), "\(card)")
        #expect(card.components(separatedBy: "## Quantised").count == 3)
        #expect(card.contains("**Not trained since the conversion.**"))
        #expect(
            card.contains(
                "By Moult 0.1.0, calibrated on 5 tokens of `words.txt`: the weight matrices of the layers to 4 bits, "
                    + "embedding and head to 8, in groups of 32. "), "\(card)")
        #expect(frontMatter(card).contains("license: \"apache-2.0\""))
        #expect(try text("\(again)/README.source.md") == Self.published)
        let record = try #require(try ModelRecord(folder: again))
        #expect(record.steps.count == 3 && record.source.name == name)
    }

    @Test("layers that keep softmax attention are said to need memory")
    func hybrid() throws {
        let source = try SourceModel("llama-tied")
        let folder = try TemporaryFolder()
        var options = ConversionOptions()
        (options.slots, options.keptAttention) = (12, [1])
        _ = try Converter(ModelFiles.open(source.path), options: options).run(output: "\(folder.path)/out")
        let card = try text("\(folder.path)/out/README.md")
        #expect(
            card.contains(
                "The memory of a sequence grows with its length in the layers that keep softmax attention alone."))
        #expect(card.contains("| layers | 2, softmax attention kept in 1 |"))
    }

    @Test("a card that somebody has edited is kept beside the new one")
    func edits() throws {
        let source = try SourceModel("llama-linear-rope")
        let folder = try TemporaryFolder()
        let (student, rounded) = ("\(folder.path)/student", "\(folder.path)/rounded")
        try convert(source.path, to: student)
        try quantise(student, to: rounded)
        // Nobody has.
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: rounded).filter { $0.contains("README.") } == [
                "README.md"
            ])
        let edited = try text("\(student)/README.md") + "\nMine.\n"
        try write(edited, to: "\(student)/README.md")
        try write("An older one.\n", to: "\(student)/README.edited.md")
        try quantise(student, to: "\(folder.path)/again")
        #expect(try text("\(folder.path)/again/README.edited.md") == "An older one.\n")
        #expect(try text("\(folder.path)/again/README.edited-2.md") == edited)
        #expect(
            try text("\(folder.path)/again/README.md").contains(
                "Earlier cards, as they were: `README.edited-2.md`, `README.edited.md`."))
    }

    @Test(
        "a record that cannot be read is said, and nothing is written",
        arguments: [
            "", "{}", "[1]",
            "{\"version\": 2, \"source\": {\"name\": \"x\", \"model_type\": \"llama\"}, \"steps\": []}",
            "{\"version\": 1, \"source\": {\"name\": \"x\", \"model_type\": \"llama\"}, \"steps\": [{}]}",
        ])
    func damaged(_ record: String) throws {
        let source = try SourceModel("llama-tied")
        let folder = try TemporaryFolder()
        try write(record, to: "\(source.path)/moult.json")
        let error = #expect(throws: ConversionError.self) { try convert(source.path, to: "\(folder.path)/out") }
        #expect(
            error?.description
                == "\(source.path)/moult.json: not a record of this version of Moult; move it away to go on "
                + "without the model's history")
        #expect(folder.contents == [])
    }

    @Test("weights are known again, and others told apart")
    func samples() throws {
        func samples(_ change: @escaping (Float) -> Float) throws -> WeightSamples {
            let source = try SourceModel(
                "llama-tied",
                tensors: { tensors in
                    for index in tensors.indices where tensors[index].tensor.rank == 2 {
                        let values = try tensors[index].tensor.converted(to: .float32).array().map(change)
                        tensors[index].tensor = try Tensor(values, shape: tensors[index].tensor.shape)
                    }
                })
            return try WeightSamples(of: ModelFiles.open(source.path).checkpoint, layers: 2)
        }
        let own = try samples { $0 }
        #expect(own.difference(to: own) == 0)
        #expect(try own.difference(to: samples { 1.25 * $0 }) == 0.25)
        #expect(try own.difference(to: samples { -$0 }) == 2)
        let rounded = try #require(
            try own.difference(to: samples { Float(bitPattern: UInt32(BFloat16($0).bits) << 16) }))
        #expect(rounded < WeightSamples.roundingLimit, "\(rounded)")
        #expect(try samples { _ in 0 }.difference(to: own) == nil)
    }
}
