import Checkpoints
import Generation
import Models
import Tensors
import Tokenizers

/// A model that a server has, by the name that clients call it.
public struct ServedModel: Sendable {
    /// A model that is loaded.
    public struct Contents: Sendable {
        /// The model.
        public var model: DecoderModel
        /// Turns text into the model's tokens and back.
        public var tokenizer: Tokenizer
        /// How tokens are picked where a request does not say.
        public var defaults: SamplingDefaults

        /// A model with what belongs to it.
        public init(_ model: DecoderModel, tokenizer: Tokenizer, defaults: SamplingDefaults) {
            (self.model, self.tokenizer, self.defaults) = (model, tokenizer, defaults)
        }
    }

    /// What clients call it.
    public let name: String
    /// Bytes of its weights, by which ``ServerOptions/modelBytes`` is kept.
    public let bytes: Int
    let load: @Sendable () throws -> Contents

    /// - Parameter load: loads the model, on a thread of the server's: when it is first asked for, and whenever it is again after it
    ///   had to make room.
    public init(_ name: String, bytes: Int, load: @escaping @Sendable () throws -> Contents) {
        (self.name, self.bytes, self.load) = (name, bytes, load)
    }

    /// Bytes that the weights of a model take once it is loaded; reads no more than what `files` are described by.
    /// - Parameter dtype: the type to hold weight matrices in; nil keeps the stored one (float32 for quantised files).
    /// - Throws: `ModelError` for a configuration that no model has.
    public static func weightBytes(
        of files: ModelFiles, as dtype: DType? = nil, on device: Device = .cpu
    ) throws -> Int {
        try DecoderModel.rules(ModelConfiguration(files.configuration)).reduce(0) { total, rule in
            let stored = files.checkpoint.description(of: rule.name)?.format.dtype ?? .float32
            var held = rule.isWide || dtype == nil && stored == .float64 ? .float32 : dtype ?? stored
            if device != .cpu, rule.shape.count > 1 { held = device.traits.weightType(of: held) }
            return total + (held.byteCount(of: rule.shape) ?? 0)
        }
    }
}
