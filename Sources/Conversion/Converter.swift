import Checkpoints
import Foundation
import Models
import Tensors

/// Carries out a ``ConversionPlan``: one tensor at a time, so that memory is bounded by the largest tensor.
public struct Converter {
    public let plan: ConversionPlan
    let files: ModelFiles

    public init(_ files: ModelFiles, options: ConversionOptions) throws {
        self.files = files
        plan = try ConversionPlan(files, options: options)
    }

    /// Writes the target as a Hugging Face folder. Everything is written beside `output` and renamed at the end; when
    /// anything fails, nothing is left.
    /// - Parameter progress: called with bytes done and in all and the tensor in hand; throwing stops the conversion.
    /// - Returns: the report, which the folder's README.md holds too.
    public func run(output: String, progress: (Int, Int, String) throws -> Void = { _, _, _ in }) throws
        -> ConversionReport
    {
        let manager = FileManager.default
        let target = URL(fileURLWithPath: output).standardizedFileURL
        guard !manager.fileExists(atPath: target.path) else { throw ConversionError.outputExists(path: output) }
        let parent = target.deletingLastPathComponent()
        let partial = parent.appendingPathComponent(".\(target.lastPathComponent).partial-\(getpid())")
        try Self.filing(output) {
            try manager.createDirectory(at: parent, withIntermediateDirectories: true)
            try manager.createDirectory(at: partial, withIntermediateDirectories: false)
        }
        do {
            let nonFinite = try writeWeights(to: partial.path, progress: progress)
            var tokenizerFiles = try writeTokenizer(to: partial)
            if !tokenizerFiles.contains("generation_config.json") {
                try write(generationConfiguration(), to: partial.appendingPathComponent("generation_config.json"))
                tokenizerFiles.append("generation_config.json")
            }
            let report = ConversionReport(plan, nonFinite: nonFinite, tokenizerFiles: tokenizerFiles)
            try write(.object(plan.target.decoder.json), to: partial.appendingPathComponent("config.json"))
            try write(report.modelCard(name: target.lastPathComponent), to: partial.appendingPathComponent("README.md"))
            try write(report.json, to: partial.appendingPathComponent("conversion.json"))
            try Self.filing(output) {
                // rename(2) refuses a target that appeared meanwhile, unless it is an empty folder.
                guard rename(partial.path, target.path) == 0 else { throw CocoaError.failed(errno) }
            }
            return report
        } catch {
            try? manager.removeItem(at: partial)
            throw error
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
        case .renamed(let source): try files.checkpoint.load(source, as: entry.dtype)
        case .initialised(let initialiser):
            try initialiser.make(name: entry.name, shape: entry.shape, seed: plan.options.seed).converted(
                to: entry.dtype)
        }
    }

    /// A generation_config.json for a source that has none: its special tokens.
    private func generationConfiguration() -> JSONValue {
        let keys = ["bos_token_id", "eos_token_id", "pad_token_id"]
        let decoder = plan.source.huggingFaceJSON()
        return .object(JSONObject(decoder.pairs.filter { keys.contains($0.key) && $0.value != .null }))
    }

    // MARK: Files

    func write(_ json: JSONValue, to url: URL) throws { try write(json.text(indented: true) + "\n", to: url) }
    func write(_ text: String, to url: URL) throws { try write(Data(text.utf8), to: url) }
    func write(_ data: Data, to url: URL) throws { try Self.filing(url.path) { try data.write(to: url) } }

    /// Turns the file system's errors into one line that names the path.
    static func filing(_ path: String, _ body: () throws -> Void) throws {
        do { try body() } catch {
            throw ConversionError.file(path: path, reason: "cannot be written: \((error as NSError).plainReason)")
        }
    }
}

extension CocoaError {
    fileprivate static func failed(_ code: Int32) -> any Error {
        NSError(domain: NSPOSIXErrorDomain, code: Int(code))
    }
}

extension NSError {
    /// The system's words for the error underneath.
    fileprivate var plainReason: String {
        if let below = userInfo[NSUnderlyingErrorKey] as? NSError { return below.plainReason }
        return domain == NSPOSIXErrorDomain ? String(cString: strerror(Int32(code))) : localizedDescription
    }
}
