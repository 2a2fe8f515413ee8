import Checkpoints
import Foundation
import Models
import Tensors

/// Carries out a ``ConversionPlan``: one tensor at a time, so that memory is bounded by the largest tensor.
public struct Converter {
    /// What the conversion does with every tensor.
    public let plan: ConversionPlan
    let files: ModelFiles
    private let record: ModelRecord

    /// Plans the conversion of `files`; no weight is read yet.
    /// - Throws: ``ConversionError`` when the source is not a Transformer of a known architecture, or options cannot be
    ///   served; `ModelError` when the target cannot be built.
    public init(_ files: ModelFiles, options: ConversionOptions) throws {
        self.files = files
        plan = try ConversionPlan(files, options: options)
        record = try ModelRecord(of: files)
    }

    /// Writes the target as a Hugging Face folder. Everything is written beside `output` and renamed at the end; when
    /// anything fails, nothing is left.
    /// - Parameter progress: called with bytes done and in all and the tensor in hand; throwing stops the conversion.
    /// - Returns: the report; the folder's README.md and moult.json say the same in short.
    public func run(output: String, progress: (Int, Int, String) throws -> Void = { _, _, _ in }) throws
        -> ConversionReport
    {
        try OutputFolder.write(output) { folder in
            let nonFinite = try writeWeights(to: folder.url.path, progress: progress)
            let tokenizer = try folder.writeTokenizer(of: files)
            let report = ConversionReport(
                plan, nonFinite: nonFinite, tokenizerFiles: tokenizer.names, tokenizerWarning: tokenizer.warning)
            try folder.write(.object(plan.target.decoder.json), as: "config.json")
            try folder.write(report.json, as: "conversion.json")
            var record = record
            let samples = try WeightSamples(of: files.checkpoint, layers: plan.source.layerCount)
            record.steps.append(.conversion(try report.step(samples: samples)))
            try record.write(to: folder.url.path, for: output, plan.target, keepingCardsOf: [files.path])
            return report
        }
    }

    // MARK: Weights

    /// Streams every tensor; returns how many non-finite values each bad tensor has.
    private func writeWeights(to folder: String, progress: (Int, Int, String) throws -> Void) throws -> [String: Int] {
        let total = plan.entries.reduce(0) { $0 + $1.count * $1.dtype.size }
        var done = 0
        var nonFinite: [String: Int] = [:]
        let writer = try SafetensorsWriter(
            directory: folder, tensors: plan.entries.map { ($0.name, $0.shape, $0.dtype) }, metadata: ["format": "pt"])
        do {
            for entry in plan.entries {
                try progress(done, total, entry.name)
                let tensor = try make(entry)
                let counts = try tensor.nonFiniteCounts()
                let bad = counts.nan + counts.infinity
                if bad > 0 {
                    guard plan.options.allowNonFinite else {
                        throw ConversionError.nonFinite(name: entry.name, path: plan.sourcePath, count: bad)
                    }
                    nonFinite[entry.name] = bad
                }
                try writer.append(tensor)
                done += entry.count * entry.dtype.size
            }
            try progress(total, total, "")
            try writer.finish()
        } catch {
            writer.cancel()
            throw error
        }
        return nonFinite
    }

    private func make(_ entry: ConversionPlan.Entry) throws -> Tensor {
        switch entry.action {
        case .copied: try files.checkpoint.load(entry.name, as: entry.dtype)
        case .renamed(let source), .derived(let source, _): try files.checkpoint.load(source, as: entry.dtype)
        case .initialised(let initialiser):
            try initialiser.make(
                name: entry.name, shape: entry.shape, seed: plan.options.seed, input: input(of: initialiser)
            ).converted(to: entry.dtype)
        }
    }

    /// The root mean square of what a map reads.
    private func input(of initialiser: Initialiser) throws -> Double {
        guard case .map(_, let norm?) = initialiser, let weight = plan.entries.first(where: { $0.name == norm }) else {
            return 1
        }
        return try make(weight).rootMeanSquare()
    }
}
