import Checkpoints
import Foundation
import Models
import Tensors

/// Rounds a model's weight matrices, its embedding and its head to 8 or 4 bits, one layer at a time.
///
/// With a calibration text, each layer is run on what the rounded layers before it give, the second moments of its maps'
/// inputs are collected, and rounding errors are fed back into the weights that come after (`ErrorFeedback`).
public struct ModelQuantiser {
    /// How weights are rounded.
    public let options: QuantisationOptions
    let files: ModelFiles
    private let configuration: ModelConfiguration
    private let types: (layers: DType, embedding: DType)
    /// Rounded last of all, because the head's inputs come from all layers.
    private let tables: Set<String>
    private let rules: [ParameterRule]
    private let record: ModelRecord

    /// - Throws: ``ConversionError`` for options that cannot be served and for a source that is quantised already.
    public init(_ files: ModelFiles, options: QuantisationOptions) throws {
        self.files = files
        self.options = options
        types = try options.types()
        configuration = try ModelConfiguration(files.configuration)
        record = try ModelRecord(of: files)
        if let tensor = files.checkpoint.tensors.first(where: { $0.format.dtype?.isQuantised ?? false }) {
            throw ConversionError.source(
                path: files.path, expected: "weights as trained: rounding twice adds up the errors",
                found: "\(tensor.name) of type \(tensor.format.rawValue)")
        }
        let tables = Set([configuration.names.embedding, configuration.names.head])
        let all = try DecoderModel.rules(configuration)
        // Layer by layer; what stands before the layers and the head come last.
        let outside = tables.union(DecoderModel.embeddingRules(configuration).map(\.name))
        (self.tables, rules) = (
            tables, all.filter { !outside.contains($0.name) } + all.filter { outside.contains($0.name) }
        )
    }

    /// Writes the quantised model as a Hugging Face folder. Everything is written beside `output` and renamed at the
    /// end; when anything fails, nothing is left.
    /// - Parameter progress: called with parameters done and in all and the tensor in hand; throwing stops.
    public func run(output: String, progress: (Int, Int, String) throws -> Void = { _, _, _ in }) throws
        -> QuantisationReport
    {
        try OutputFolder.write(output) { folder in
            var report = try writeWeights(to: folder, progress: progress)
            report.tokenizerWarning = try folder.writeTokenizer(of: files).warning
            _ = try folder.copy("conversion.json", of: files)
            // A Transformer of another family than Llama's has Moult's form from here on: its tensors have.
            let isOther =
                files.family.isTransformer
                && ![Llama.modelTypes, Mistral.modelTypes].joined().contains(
                    files.configuration.modelType)
            var json =
                isOther
                ? configuration.moultFile(try configuration.attention, dtype: .bfloat16)
                : files.configuration.json
            json["quantization_config"] = .object([
                "quant_method": .string("moult"), "bits": .integer(options.bits), "group_size": 32,
                "calibration_tokens": .integer(report.calibrationTokens),
            ])
            try folder.write(.object(json), as: "config.json")
            try folder.write(.object(report.json), as: "quantisation.json")
            var record = record
            record.steps.append(.quantisation(step(report)))
            try record.write(to: folder.url.path, for: output, configuration, keepingCardsOf: [files.path])
            return report
        }
    }

    private func step(_ report: QuantisationReport) -> ModelRecord.Quantisation {
        ModelRecord.Quantisation(
            moult: Moult.version, bits: options.bits, embeddingBits: options.embeddingBits ?? 8,
            groupSize: options.groupSize, calibrationTokens: report.calibrationTokens,
            calibrationText: options.calibrationText, rounded: report.quantised.count,
            kept: report.tensors.count - report.quantised.count, bitsPerParameter: report.bitsPerParameter)
    }

    // MARK: Weights

    /// The type in which a parameter is written. Vectors, and matrices whose inputs are not made of whole groups, stay as
    /// they are (GGML's quantised types as bfloat16).
    private func written(_ rule: ParameterRule) throws -> DType {
        guard let stored = files.checkpoint.description(of: rule.name) else {
            throw ConversionError.missingTensor(name: rule.name, path: files.path)
        }
        guard stored.shape == rule.shape else {
            throw ConversionError.tensorShape(
                name: rule.name, path: files.path, expected: rule.shape, found: stored.shape)
        }
        let canRound =
            rule.shape.count == 2 && rule.shape[1] % options.groupSize == 0
            && !rule.isWide && rule.name != configuration.names.positions
        let rounded = tables.contains(rule.name) ? types.embedding : types.layers
        return canRound ? rounded : rule.shape.count < 2 ? stored.format.dtype ?? .float32 : stored.plainType
    }

    private func writeWeights(to folder: OutputFolder, progress: (Int, Int, String) throws -> Void) throws
        -> QuantisationReport
    {
        let writer = try SafetensorsWriter(
            directory: folder.url.path, tensors: rules.map { ($0.name, $0.shape, try written($0)) })
        do {
            let total = rules.reduce(0) { $0 + $1.count }
            var (done, entries) = (0, [QuantisationReport.Entry]())
            /// Rounds and writes one parameter; returns it as it was written.
            func write(_ rule: ParameterRule, _ feedback: ErrorFeedback?) throws -> Tensor {
                try progress(done, total, rule.name)
                let (tensor, entry) = try round(rule, feedback: feedback)
                try writer.append(tensor)
                entries.append(entry)
                done += entry.count
                return tensor
            }
            if options.calibration.isEmpty {
                for rule in rules { _ = try write(rule, nil) }
            } else {
                try writeCalibrated(write) { try progress(done, total, "") }
            }
            try progress(total, total, "")
            try writer.finish()
            return QuantisationReport(
                sourcePath: files.path, bits: options.bits,
                calibrationTokens: options.calibration.reduce(0) { $0 + $1.count }, tensors: entries)
        } catch {
            writer.cancel()
            throw error
        }
    }

    private func round(_ rule: ParameterRule, feedback: ErrorFeedback?) throws -> (Tensor, QuantisationReport.Entry) {
        let type = try written(rule)
        let weight = try files.checkpoint.load(rule.name, as: type.isQuantised ? .float32 : type)
        let counts = try weight.nonFiniteCounts()
        guard counts.nan + counts.infinity == 0 else {
            throw ConversionError.nonFinite(name: rule.name, path: files.path, count: counts.nan + counts.infinity)
        }
        let rounded = type.isQuantised ? try weight.quantised(to: type, feedback: feedback) : nil
        let tensor = rounded?.tensor ?? weight
        let entry = QuantisationReport.Entry(
            name: rule.name, shape: rule.shape, dtype: type, byteCount: tensor.byteCount,
            relativeError: rounded?.relativeError, symmetricShare: rounded?.symmetricShare)
        return (tensor, entry)
    }

    // MARK: Calibration

    /// Goes through the layers with the text: what a layer's maps read is collected, the layer is rounded, and the text
    /// goes on through the rounded layer.
    private func writeCalibrated(
        _ write: (ParameterRule, ErrorFeedback?) throws -> Tensor, progress: () throws -> Void
    ) throws {
        let names = configuration.names
        var forward = try LayerwiseForward(
            configuration, pieces: options.calibration,
            parameters: Parameters(
                DecoderModel.embeddingRules(configuration), from: files.checkpoint, as: .bfloat16))
        var remaining = rules[...]
        for layer in 0..<configuration.decoder.layerCount {
            let own = Array(remaining.prefix { $0.name.hasPrefix("model.layers.\(layer).") })
            remaining = remaining.dropFirst(own.count)
            let inputs = LinearInputs()
            let parameters = try Parameters(own, from: files.checkpoint, as: .bfloat16)
            _ = try forward.run(parameters, inputs: inputs, progress: progress)
            var feedback = LayerFeedback(inputs, groupSize: options.groupSize)
            var rounded: [String: Tensor] = [:]
            for rule in own {
                let tensor = try write(rule, feedback.take(rule.name))
                rounded[rule.name] = rule.isWide ? try tensor.converted(to: .float32) : tensor
            }
            forward.advance(to: try forward.run(Parameters(rounded), progress: progress))
        }
        var head = InputMoment(inputs: configuration.decoder.hiddenSize)
        var finalNorm: [String: Tensor] = [:]
        let normCount = remaining.count { $0.name.hasPrefix(names.finalNorm + ".") }
        for rule in remaining {
            let isHead = rule.name == (configuration.decoder.tiedEmbeddings ? names.embedding : names.head)
            let wholeGroups = head.inputs % options.groupSize == 0
            let tensor = try write(rule, isHead && wholeGroups ? ErrorFeedback(head) : nil)
            guard rule.name.hasPrefix(names.finalNorm + ".") else { continue }
            finalNorm[rule.name] = try tensor.converted(to: .float32)
            if finalNorm.count == normCount { try forward.addHeadInputs(Parameters(finalNorm), to: &head) }
        }
    }
}
