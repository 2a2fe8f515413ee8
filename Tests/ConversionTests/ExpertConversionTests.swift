import Checkpoints
import Conversion
import Foundation
import Models
import Support
import Tensors
import TestSupport
import Testing

@Suite("Conversion and rounding of models with experts")
struct ExpertConversionTests {
    private static let tokens: [Int32] = (0..<60).map { Int32(($0 * 29 + 7) % 2003) }

    private func options(_ bits: Int, calibrated: Bool) -> QuantisationOptions {
        var options = QuantisationOptions()
        options.bits = bits
        if calibrated {
            options.calibration = (0..<8).map { row in (0..<60).map { Int32(($0 * 31 + row * 97) % 2003) } }
        }
        return options
    }

    @Test("experts, routers and their numbers are taken over", arguments: ExpertModel.allCases)
    func converted(_ model: ExpertModel) throws {
        let folder = try TemporaryFolder(inMemory: true)
        try model.write(to: folder.path)
        let source = try ModelFiles.open(folder.path)
        let output = "\(folder.path)/student"
        let report = try Converter(source, options: ConversionOptions()).run(output: output)
        let files = try ModelFiles.open(output)
        #expect(files.configuration.experts == source.configuration.experts)
        #expect(report.dropped.tensors == 0)
        let expert = "model.layers.1.mlp.experts.3.up_proj.weight"
        #expect(
            try files.checkpoint.load(expert).array(BFloat16.self)
                == source.checkpoint.load(expert).array(BFloat16.self))
        let text = try JSONValue(file: "\(output)/config.json")["moult"]?["decoder"]?["experts"].map {
            $0.text()
        }
        let dense = model == .qwen ? #","dense_layers":[0]"# : ""
        #expect(
            text == #"{"count":4,"active":2,"width":32,"normalised":\#(model != .qwen)\#(dense)}"#, "\(text ?? "")")
        // The lines of a report do not grow with the experts.
        #expect(report.derivedKinds.count <= 4)
        if model == .fused {
            #expect(
                report.summary.contains("model.layers.*.mlp.experts.*.up_proj.weight × 8: rows 32 to 63 of each of "))
        }
    }

    @Test("experts are rounded and routers are not", arguments: ExpertModel.allCases, [false, true])
    func quantised(_ model: ExpertModel, _ calibrated: Bool) throws {
        let folder = try TemporaryFolder(inMemory: true)
        try model.write(to: folder.path)
        let expected = try DecoderModel.load(folder.path).logits([Self.tokens]).array(Float.self)
        for (bits, bound) in [(8, Float(0.2)), (4, 0.8)] {
            let output = "\(folder.path)/q\(bits)"
            let report = try ModelQuantiser(
                ModelFiles.open(folder.path), options: options(bits, calibrated: calibrated)
            ).run(output: output)
            for entry in report.tensors where entry.name.contains(".mlp.") {
                let isRouter = entry.name.hasSuffix(".mlp.gate.weight")
                #expect(entry.dtype == (isRouter ? .bfloat16 : bits == 8 ? .q8 : .q4), "\(entry.name)")
            }
            let rounded = try DecoderModel.load(output)
            #expect(rounded.configuration.decoder.experts?.count == 4)
            let found = try rounded.logits([Self.tokens]).array(Float.self)
            let size = expected.reduce(0) { $0 + $1 * $1 }
            let error = zip(expected, found).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            #expect(error > 0 && (error / size).squareRoot() < bound, "\(bits): \((error / size).squareRoot())")
        }
    }

    @Test("calibration lowers the error of what experts give", arguments: [ExpertModel.mixtral, .qwen])
    func calibration(_ model: ExpertModel) throws {
        let folder = try TemporaryFolder(inMemory: true)
        try model.write(to: folder.path)
        let texts = options(4, calibrated: true).calibration
        let expected = try DecoderModel.load(folder.path).logits(texts).array(Float.self)
        let errors = try [false, true].map { calibrated in
            let output = "\(folder.path)/\(calibrated)"
            _ = try ModelQuantiser(ModelFiles.open(folder.path), options: options(4, calibrated: calibrated))
                .run(output: output)
            let found = try DecoderModel.load(output, as: .float32).logits(texts).array(Float.self)
            return zip(expected, found).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        }
        #expect(errors[1] < errors[0], "\(errors)")
    }

    @Test("a bad expert is refused by name, and nothing is written")
    func refusals() throws {
        let name = "model.layers.1.mlp.experts.2.up_proj.weight"
        func message(_ isQuantised: Bool, _ change: (inout [String: Tensor]) throws -> Void) throws -> String {
            let folder = try TemporaryFolder(inMemory: true)
            try ExpertModel.qwen.write(to: folder.path, tensors: change)
            let error = #expect(throws: (any Error).self) {
                let files = try ModelFiles.open(folder.path), output = "\(folder.path)/out"
                if isQuantised {
                    _ = try ModelQuantiser(files, options: options(4, calibrated: true)).run(output: output)
                } else {
                    _ = try Converter(files, options: ConversionOptions()).run(output: output)
                }
            }
            #expect(folder.contents == ["config.json", "model.safetensors"])
            return error.map { "\($0)".replacing(folder.path, with: "MODEL") } ?? ""
        }
        for isQuantised in [false, true] {
            let isNaN = try message(isQuantised) { tensors in
                var values = try tensors[name]?.converted(to: .float32).array(Float.self) ?? []
                values[5] = .nan
                tensors[name] = try Tensor(values, shape: [32, 64]).converted(to: .bfloat16)
            }
            #expect(isNaN.contains(name) && isNaN.contains("1 NaN or infinite") && !isNaN.contains("\n"), "\(isNaN)")
            let isMissing = try message(isQuantised) { $0[name] = nil }
            #expect(isMissing.contains(name) && isMissing.contains("missing"), "\(isMissing)")
        }
        let extra = try message(false) { $0["model.layers.1.mlp.experts.4.up_proj.weight"] = $0[name] }
        #expect(extra.contains("model.layers.1.mlp.experts.4.up_proj.weight") && !extra.contains("\n"), "\(extra)")
    }

    @Test("flash-linear-attention's form has no experts")
    func profile() throws {
        let folder = try TemporaryFolder(inMemory: true)
        try ExpertModel.mixtral.write(to: folder.path)
        var options = ConversionOptions()
        options.profile = .fla
        let error = #expect(throws: (any Error).self) {
            try Converter(ModelFiles.open(folder.path), options: options)
        }
        #expect(error.map { "\($0)" }?.contains("experts") == true, "\(String(describing: error))")
    }
}
