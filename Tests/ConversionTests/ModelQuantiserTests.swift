import Checkpoints
import Conversion
import Foundation
import Models
import Support
import Tensors
import TestSupport
import Testing

@Suite("Quantising a model")
struct ModelQuantiserTests {
    /// Inputs of 32, but those of the MLP's last map, 40: it stays.
    private static let fixture = "llama-linear-rope"

    private func options(_ bits: Int, embedding: Int? = nil, calibrated: Bool = false) -> QuantisationOptions {
        var options = QuantisationOptions()
        (options.bits, options.embeddingBits) = (bits, embedding)
        if calibrated {
            var generator = SeededTokens(state: 3)
            options.calibration = (0..<6).map { _ in (0..<50).map { _ in generator.next() } } + [[1]]
        }
        return options
    }

    private struct SeededTokens {
        var state: UInt64
        mutating func next() -> Int32 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int32(state >> 33) % 64
        }
    }

    @Test(
        "the result is a model close to its source, its errors as reported",
        arguments: ["llama-linear-rope", "fla-gsa-untied", "llama-biases-llama3-rope"], [false, true])
    func quantise(_ fixture: String, _ calibrated: Bool) throws {
        let source = try SourceModel(fixture)
        let folder = try TemporaryFolder()
        let before = try DecoderModel.load(source.path)
        let tokens: [[Int32]] = [[1, 5, 9, 33, 2, 60, 7, 8, 20, 21]]
        let expected = try before.logits(tokens).array()
        let size = expected.reduce(0) { $0 + $1 * $1 }
        for (bits, bound) in [(8, Float(0.05)), (4, 0.4)] {
            let output = "\(folder.path)/\(fixture)-\(bits)"
            let report = try ModelQuantiser(
                ModelFiles.open(source.path), options: options(bits, calibrated: calibrated)
            )
            .run(output: output)
            let files = try ModelFiles.open(output)
            #expect(report.tensors.count == files.checkpoint.tensors.count)
            #expect(report.byteCount == files.checkpoint.tensors.reduce(0) { $0 + $1.byteCount })
            for entry in report.tensors {
                let stored = try #require(files.checkpoint.description(of: entry.name))
                #expect(stored.shape == entry.shape && stored.format.dtype == entry.dtype)
                let isTable = entry.name.contains("embed") || entry.name.contains("lm_head")
                let rounds = entry.shape.count == 2 && entry.shape[1] % 32 == 0
                #expect(entry.dtype.isQuantised == rounds, "\(entry.name)")
                if rounds { #expect(entry.dtype == (bits == 8 || isTable ? .q8 : .q4), "\(entry.name)") }
                let (old, new) = (
                    try SafetensorsCheckpoint(path: source.path).load(entry.name, as: .float32).array(),
                    try files.checkpoint.load(entry.name, as: .float32).array()
                )
                guard let reported = entry.relativeError else {
                    #expect(old == new, "\(entry.name)")
                    continue
                }
                let error = zip(old, new).reduce(0.0) { $0 + pow(Double($1.0 - $1.1), 2) }
                let square = old.reduce(0.0) { $0 + pow(Double($1), 2) }
                #expect(abs((error / square).squareRoot() - reported) < 1e-3 * reported, "\(entry.name)")
            }
            let found = try DecoderModel.load(files).logits(tokens).array()
            let error = zip(expected, found).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            #expect((error / size).squareRoot() < bound, "\(bits): \((error / size).squareRoot())")
            #expect(error > 0)
        }
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == [
                "\(fixture)-4", "\(fixture)-8",
            ])
    }

    @Test("calibration lowers the error of what the model predicts")
    func calibration() throws {
        let source = try SourceModel(Self.fixture)
        let folder = try TemporaryFolder()
        let tokens = options(4, calibrated: true).calibration.filter { $0.count > 1 }
        let expected = try DecoderModel.load(source.path).logits(tokens).array()
        let errors = try [false, true].map { calibrated in
            let output = "\(folder.path)/\(calibrated)"
            _ = try ModelQuantiser(
                ModelFiles.open(source.path), options: options(4, embedding: 4, calibrated: calibrated)
            ).run(output: output)
            let found = try DecoderModel.load(output, as: .float32).logits(tokens).array()
            return zip(expected, found).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        }
        #expect(errors[1] < 0.8 * errors[0], "\(errors)")
    }

    @Test("the folder says what it is, and converts back")
    func folder() throws {
        let source = try SourceModel(Self.fixture)
        let folder = try TemporaryFolder()
        try "# Tiny\n".write(toFile: "\(source.path)/README.md", atomically: true, encoding: .utf8)
        let output = "\(folder.path)/out"
        _ = try ModelQuantiser(ModelFiles.open(source.path), options: options(4, calibrated: true)).run(output: output)
        let files = try FileManager.default.contentsOfDirectory(atPath: output).sorted()
        #expect(
            files == [
                "README.md", "README.source.md", "config.json", "generation_config.json", "model.safetensors",
                "moult.json",
                "quantisation.json",
            ])
        let configuration = try JSONValue(file: "\(output)/config.json")["quantization_config"]
        #expect(configuration?["quant_method"] == "moult" && configuration?["bits"] == 4)
        #expect(configuration?["calibration_tokens"] == 301)
        let card = try String(contentsOfFile: "\(output)/README.md", encoding: .utf8)
        #expect(
            card.contains("By Moult 0.1.0, calibrated on 301 tokens: the weight matrices of the layers to 4 bits"))
        #expect(try String(contentsOfFile: "\(output)/README.source.md", encoding: .utf8) == "# Tiny\n")
        // A quantised Transformer is a source like any other: its weights become bfloat16.
        var conversion = ConversionOptions()
        conversion.slots = 8
        let student = "\(folder.path)/student"
        _ = try Converter(ModelFiles.open(output), options: conversion).run(output: student)
        let weight = "model.layers.0.self_attn.q_proj.weight"
        let (rounded, plain) = (try SafetensorsCheckpoint(path: output), try SafetensorsCheckpoint(path: student))
        #expect(try plain.load(weight).array(BFloat16.self) == rounded.load(weight, as: .bfloat16).array(BFloat16.self))
    }

    /// Quantises and expects an error whose text has all of `parts`, and nothing left behind.
    private func expectRefusal(
        _ path: String, _ options: QuantisationOptions, _ parts: String..., location: SourceLocation = #_sourceLocation
    ) throws {
        let folder = try TemporaryFolder()
        let error = #expect(throws: (any Error).self, sourceLocation: location) {
            try ModelQuantiser(ModelFiles.open(path), options: options).run(output: "\(folder.path)/out")
        }
        let text = error.map { "\($0)" } ?? ""
        for part in parts { #expect(text.contains(part), "\(text)", sourceLocation: location) }
        #expect(!text.contains("\n"), sourceLocation: location)
        #expect(folder.contents == [], sourceLocation: location)
    }

    @Test func refusals() throws {
        let source = try SourceModel(Self.fixture)
        for bits in [0, 3, 16, -4] { try expectRefusal(source.path, options(bits), "bits", "8 or 4", "\(bits)") }
        try expectRefusal(source.path, options(4, embedding: 6), "embeddingBits", "8 or 4", "6")
        var groups = options(4)
        groups.groupSize = 64
        try expectRefusal(source.path, groups, "groupSize", "32", "64")

        let folder = try TemporaryFolder()
        _ = try ModelQuantiser(ModelFiles.open(source.path), options: options(8)).run(output: "\(folder.path)/once")
        try expectRefusal("\(folder.path)/once", options(4), "rounding twice", "q8")
        #expect(throws: ConversionError.outputExists(path: "\(folder.path)/once")) {
            try ModelQuantiser(ModelFiles.open(source.path), options: options(8)).run(output: "\(folder.path)/once")
        }

        let name = "model.layers.1.mlp.up_proj.weight"
        let broken = try SourceModel(
            Self.fixture,
            tensors: { tensors in
                guard let place = tensors.firstIndex(where: { $0.name == name }) else { return }
                var values = try tensors[place].tensor.converted(to: .float32).array()
                values[7] = .nan
                tensors[place].tensor = try Tensor(values, shape: tensors[place].tensor.shape)
            })
        try expectRefusal(broken.path, options(4), name, "1 NaN or infinite")
        let partial = try SourceModel(Self.fixture, tensors: { $0.removeAll { $0.name == name } })
        try expectRefusal(partial.path, options(4), name, "missing")
    }

    @Test func stops() throws {
        let source = try SourceModel(Self.fixture)
        let folder = try TemporaryFolder()
        #expect(throws: ConversionError.cancelled) {
            try ModelQuantiser(ModelFiles.open(source.path), options: options(4)).run(output: "\(folder.path)/out") {
                done, _, _ in if done > 0 { throw ConversionError.cancelled }
            }
        }
        #expect(folder.contents == [])
    }
}
