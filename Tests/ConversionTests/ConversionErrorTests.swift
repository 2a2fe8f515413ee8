import Checkpoints
import Conversion
import Foundation
import Models
import Tensors
import TestSupport
import Testing

@Suite("Conversion refuses, and leaves nothing behind")
struct ConversionErrorTests {
    /// Converts and expects an error whose text has every one of `parts`, and a folder with nothing new in it.
    private func expectRefusal(
        _ source: SourceModel, output: String = "student", _ parts: String...,
        location: SourceLocation = #_sourceLocation, change: (inout ConversionOptions) -> Void = { _ in },
        progress: (Int, Int, String) throws -> Void = { _, _, _ in }
    ) throws {
        var options = ConversionOptions()
        options.slots = 8
        change(&options)
        let folder = try TemporaryFolder()
        let target = output.hasPrefix("/") ? output : "\(folder.path)/\(output)"
        let error = #expect(throws: (any Error).self, sourceLocation: location) {
            try Converter(ModelFiles.open(source.path), options: options).run(output: target, progress: progress)
        }
        let text = error.map { "\($0)" } ?? ""
        for part in parts { #expect(text.contains(part), "\(text)", sourceLocation: location) }
        #expect(!text.contains("\n"), sourceLocation: location)
        #expect(folder.contents == [], sourceLocation: location)
    }

    @Test func missingTensor() throws {
        let source = try SourceModel(
            "llama-tied", tensors: { $0.removeAll { $0.name == "model.layers.1.mlp.up_proj.weight" } })
        try expectRefusal(source, source.path, "'model.layers.1.mlp.up_proj.weight' is missing")
    }

    @Test func wrongShape() throws {
        let source = try SourceModel("llama-tied", configuration: { $0["intermediate_size"] = 32 })
        try expectRefusal(source, source.path, "mlp.gate_proj.weight", "expected [32, 48]")
    }

    @Test func unexplainedTensor() throws {
        let source = try SourceModel(
            "llama-tied",
            tensors: { tensors in
                let norm = try Tensor([Float](repeating: 1, count: 8), shape: [8])
                tensors.append(("model.layers.0.self_attn.q_norm.weight", norm))
            })
        try expectRefusal(source, "'model.layers.0.self_attn.q_norm.weight'", "model_type")
    }

    @Test func unknownArchitecture() throws {
        let source = try SourceModel("llama-tied", configuration: { $0["model_type"] = "rwkv7" })
        try expectRefusal(source, "rwkv7", "llama")
    }

    @Test(
        "a model that was converted before",
        arguments: [
            ("moult-gsa", "a model that is converted already", "moult"), ("fla-gsa-tied", "a recurrent model", "gsa"),
        ])
    func convertedAlready(_ name: String, _ what: String, _ type: String) throws {
        let source = try SourceModel(name)
        try expectRefusal(
            source,
            "\(source.path): expected a Transformer, found \(what) (model_type '\(type)'); train it with: "
                + "moult train \(source.path) --teacher SOURCE --data FILE --output RUN")
    }

    @Test("options out of range")
    func options() throws {
        let source = try SourceModel("llama-tied")
        try expectRefusal(source, "slots", "1 to 4096") { $0.slots = 0 }
        try expectRefusal(source, "window", "found -1") { $0.window = -1 }
        try expectRefusal(source, "window", "profile fla") { ($0.profile, $0.window) = (.fla, 64) }
        try expectRefusal(source, "keptAttention", "layers from 0 to 1", "found 2") { $0.keptAttention = [0, 2] }
        try expectRefusal(source, "attentionPositions", "1 to 1024, or none", "0.5") {
            $0.attentionPositions.divisor = 0.5
        }
        try expectRefusal(source, "attentionPositions", "1 to 1024, or none", "nan") {
            $0.attentionPositions.divisor = .nan
        }
        try expectRefusal(source, "mixer", "'gsa'", "'mamba'") { $0.mixer = "mamba" }
        try expectRefusal(source, "dtype") { $0.dtype = .int32 }
    }

    @Test("mixers by layer")
    func mixers() throws {
        try MixerRegistry.register(AveragingMemory.self)
        let source = try SourceModel("llama-tied")
        func refuse(_ mixer: String, _ expected: String, _ found: String) throws {
            try expectRefusal(source, "mixer: expected", expected, found) { $0.mixer = mixer }
        }
        try refuse("0-2=gsa", "layers from 0 to 1", "2 in '0-2=gsa'")
        try refuse("0-1=gsa,1=attention", "every layer at most once", "layer 1 again in '1=attention'")
        try refuse("0=gas", "'attention' or 'gsa'", "'gas'; did you mean 'gsa'?")
        for text in ["x=gsa", "1-0=gsa", "-1=gsa", "0=gsa=1", "0=gsa,", "=gsa"] {
            try refuse(text, "layers and their mixers, such as 0-9=gsa,10=attention", "'")
        }
        try expectRefusal(source, "slots: expected to be used with mixer 'gsa'", "found mixer 'attention'") {
            $0.mixer = "attention"
        }
        try expectRefusal(source, "slots: expected to be used with mixer 'gsa'", "found mixer 'averaging'") {
            $0.mixer = "0-1=averaging"
        }
        try expectRefusal(
            source, "mixerOptions.half_live: expected one of the mixers' options, half_life, slots",
            "found 'half_live'; did you mean 'half_life'?"
        ) {
            $0.mixerOptions = ["half_live": 3]
        }
        try expectRefusal(source, "mixerOptions.half_life: expected 1 to 1000, found 0") {
            ($0.mixer, $0.mixerOptions) = ("1=averaging", ["half_life": 0])
        }
        try expectRefusal(source, "mixer", "one mixer in all layers with profile fla") {
            ($0.mixer, $0.profile) = ("1=averaging", .fla)
        }
        try expectRefusal(source, "profile", "the only one of 'averaging'", "found 'fla'") {
            ($0.mixer, $0.profile, $0.slots) = ("averaging", .fla, nil)
        }
    }

    @Test("positions of kept attention where it has the source's")
    func positions() throws {
        try expectRefusal(
            try SourceModel("mistral-sliding-window"), "attentionPositions",
            "the source's positions, for its window of",
            "found positions divided by 4"
        ) { $0.attentionPositions.divisor = 4 }
        try expectRefusal(
            try SourceModel("llama-tied"), "attentionLogScale", "profile fla",
            "found queries scaled by the logarithm of the tokens seen"
        ) { ($0.profile, $0.attentionPositions.hasLogScale) = (.fla, true) }
    }

    @Test("what the fla profile cannot express")
    func flaLimits() throws {
        try expectRefusal(try SourceModel("llama-biases-llama3-rope"), "head_dim", "fla profile") { $0.profile = .fla }
        try expectRefusal(try SourceModel("llama-linear-rope"), "keptAttention", "RoPE scaling") {
            ($0.profile, $0.keptAttention) = (.fla, [0])
        }
        for mixer in ["gated_deltanet", "kda", "mamba2", "hgrn2"] {
            try expectRefusal(try SourceModel("llama-tied"), "profile", "the only one of '\(mixer)'", "found 'fla'") {
                ($0.profile, $0.mixer, $0.slots) = (.fla, mixer, nil)
            }
        }
        try expectRefusal(try SourceModel("llama-biases-llama3-rope"), "head_dim", "fla profile") {
            ($0.profile, $0.mixer, $0.slots) = (.fla, "gla", nil)
        }
        try expectRefusal(try SourceModel("llama-tied"), "mixer", "found 'fla.gla'") {
            ($0.profile, $0.mixer, $0.slots) = (.fla, "fla.gla", nil)
        }
    }

    @Test func nonFiniteWeights() throws {
        let source = try SourceModel(
            "llama-tied",
            tensors: { tensors in
                guard let index = tensors.firstIndex(where: { $0.name == "model.norm.weight" }) else { return }
                tensors[index].tensor = try Tensor(
                    [Float.nan, .infinity] + [Float](repeating: 1, count: 46), shape: [48])
            })
        try expectRefusal(source, "'model.norm.weight'", "2 NaN or infinite", "allowNonFinite")
        var options = ConversionOptions()
        options.allowNonFinite = true
        let folder = try TemporaryFolder()
        let report = try Converter(ModelFiles.open(source.path), options: options).run(output: "\(folder.path)/student")
        #expect(report.nonFinite == ["model.norm.weight": 2])
        #expect(report.summary.contains("warning: model.norm.weight has 2"))
    }

    @Test func outputExists() throws {
        let source = try SourceModel("llama-tied")
        let folder = try TemporaryFolder()
        let target = "\(folder.path)/student"
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        try "mine".write(toFile: "\(target)/notes.txt", atomically: true, encoding: .utf8)
        #expect(throws: ConversionError.outputExists(path: target)) {
            try Converter(ModelFiles.open(source.path), options: ConversionOptions()).run(output: target)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["student"])
        #expect(try String(contentsOfFile: "\(target)/notes.txt", encoding: .utf8) == "mine")
    }

    @Test("a place that cannot be written")
    func unwritable() throws {
        // Not even root can make a folder in /proc.
        let target = "/proc/moult/student"
        try expectRefusal(try SourceModel("llama-tied"), output: target, target, "cannot be written")
    }

    @Test("stopped half-way")
    func cancelled() throws {
        try expectRefusal(
            try SourceModel("llama-tied"), "stopped",
            progress: { done, total, _ in if 2 * done > total { throw ConversionError.cancelled } })
    }
}
