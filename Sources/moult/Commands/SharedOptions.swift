import ArgumentParser
import Checkpoints
import Foundation
import Models
import Serving
import Support
import Tensors
import Tokenizers

/// How a command prints its result.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func print(_ object: JSONObject) throws {
        try Output.text(JSONValue.object(object).text(indented: true) + "\n")
    }
}

/// How a command holds a model's weights, and where.
struct WeightOptions: ParsableArguments {
    @Option(help: "Hold weight matrices as f32 or bf16. (default: as stored; f32 for GGUF's quantised types)")
    var dtype: WeightType?

    @Option(help: "Where to compute: cpu, cuda, or cuda:1 for another GPU.") var device = Device.cpu

    @Option(help: "Compute in f32 or bf16. (default: f32; on a GPU bf16)") var precision: Precision?

    @Option(help: "How keys and values of past tokens are held: f32, bf16 or q8. (default: f32; on a GPU bf16)")
    var cacheType: CacheType?

    @Option(
        name: [.long, .customShort("t")],
        help: "How many threads compute on the CPU. (default: one for each processor, or as MOULT_THREADS says)")
    var threads: Int?

    func validate() throws {
        if let threads, !(1...CPUThreads.most).contains(threads) {
            throw ValidationError(
                "--threads: expected 1 to \(CPUThreads.most), the processors that this program may use, found \(threads)."
            )
        }
        try precision?.check(on: device)
        guard let cacheType, !device.traits.cacheTypes.contains(cacheType) else { return }
        throw ValidationError(
            "--cache-type: expected \(device.traits.cacheType(cacheType).rawValue) with --device \(device), as keys and values "
                + "are held there; found \(cacheType.rawValue).")
    }

    func loadModel(_ path: String) throws -> DecoderModel { try model(ModelFiles.noted(path)) }

    func load(_ path: String) throws -> (DecoderModel, Tokenizer) { try load(ModelFiles.noted(path)) }

    func load(_ files: ModelFiles) throws -> (DecoderModel, Tokenizer) {
        (try model(files), try Self.tokenizer(files))
    }

    /// Bytes that the weights of a model take once it is loaded.
    func byteCount(_ files: ModelFiles) throws -> Int {
        try ServedModel.weightBytes(of: files, as: dtype?.dtype, on: device)
    }

    private func model(_ files: ModelFiles) throws -> DecoderModel {
        if let threads { CPUThreads.use(threads) }
        var model = try DecoderModel.load(files, as: dtype?.dtype).to(device, precision: precision)
        if let cacheType, device.traits.cacheTypes.first != cacheType { model.cacheType = cacheType }
        return model
    }

    /// The tokenizer of the model at `path`, which must have one.
    static func tokenizer(_ path: String) throws -> Tokenizer { try tokenizer(ModelFiles.open(path)) }

    private static func tokenizer(_ files: ModelFiles) throws -> Tokenizer {
        guard let tokenizer = try Tokenizer.load(files) else {
            let place = files.kind == .gguf ? "beside the file" : "into the folder"
            throw Failure("\(files.path): no tokenizer; put the model's tokenizer.json \(place).")
        }
        return tokenizer
    }
}

extension ModelFiles {
    /// Opens a model and says what is taken otherwise than its files say.
    static func noted(_ path: String) throws -> ModelFiles {
        let files = try open(path)
        for remark in files.remarks { Terminal.note("warning: \(remark)") }
        return files
    }
}

extension CacheType: ExpressibleByArgument {}

/// Integers separated by commas, such as 0,7,14.
struct IntegerList: ExpressibleByArgument {
    let values: [Int]
    init(_ values: [Int]) { self.values = values }

    var defaultValueDescription: String { values.map(String.init).joined(separator: ",") }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { Int($0.trimmingPrefix { $0 == " " }) }
        guard numbers.count == parts.count else { return nil }
        values = numbers
    }
}
