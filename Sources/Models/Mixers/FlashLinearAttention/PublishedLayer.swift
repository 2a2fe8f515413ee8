import Checkpoints
import Support
import Tensors

/// A recurrent layer as flash-linear-attention's models have it: with projections of its own, and what the memories of converted models
/// do without, such as short convolutions, output gates and norms of the output. ``PublishedMixer`` makes a mixer of it.
protocol PublishedLayer: Sendable {
    /// The `model_type` of the models.
    static var modelType: String { get }
    /// Its name for people, and its source.
    static var title: String { get }

    /// What config.json says of it.
    associatedtype Options: PublishedOptions

    /// All of its parameters.
    static func rules(_ place: PublishedPlace, _ options: Options) -> [ParameterRule]

    /// The state of a sequence.
    static func state(_ options: Options) -> [StateTensor]

    /// Takes its parameters from `parameters`, which holds what ``rules(_:_:)`` lists.
    init(_ place: PublishedPlace, _ options: Options, parameters: Parameters) throws

    /// The maps of the layer's input, which are computed in one pass.
    var inputMaps: [Linear] { get }
    /// The map that ends the layer.
    var outputMap: Linear { get }

    /// Reads T tokens of each of B sequences.
    /// - Parameter state: as of ``LongMemory``.
    /// - Returns: what ``outputMap`` reads, (B, T, its inputs).
    func callAsFunction(_ input: PublishedInput, state: inout MemoryTensors) throws -> Tensor

    /// What config.json of a converted model has beside the decoder's sizes; nil where none can be written.
    static func file(_ decoder: DecoderConfiguration) -> JSONObject?
}

extension PublishedLayer {
    static func file(_ decoder: DecoderConfiguration) -> JSONObject? { nil }
}

/// What config.json says of a ``PublishedLayer``.
protocol PublishedOptions: Sendable {
    /// Reads the options, and refuses what the layer does not compute.
    /// - Throws: ``ModelError/configuration(key:expected:found:)``.
    init(_ file: MixerOptionsReader) throws
}

/// Where a published layer stands, and what its parameters are called.
struct PublishedPlace: Sendable {
    let decoder: DecoderConfiguration
    /// The layer, from 0 on.
    let layer: Int
    /// The prefix of the layer's parameters, without a final dot.
    let prefix: String
    /// That of a Transformer's attention.
    private let source: String
    /// The weight of the norm before the layer.
    let norm: String

    /// Model width, D.
    var hiddenSize: Int { decoder.hiddenSize }

    init(_ configuration: ModelConfiguration, layer: Int) {
        (decoder, self.layer) = (configuration.decoder, layer)
        prefix = configuration.names.mixer(layer)
        source = ParameterNames.huggingFace.mixer(layer)
        norm = configuration.names.mixerNorm(layer) + ".weight"
    }

    /// The weight (outputs, inputs) of a map, which conversion takes from the source's of this name; inputs are D by default.
    func map(_ name: String, _ outputs: Int, inputs: Int? = nil) -> ParameterRule {
        .reused("\(prefix).\(name).weight", from: "\(source).\(name).weight", shape: [outputs, inputs ?? hiddenSize])
    }

    /// A parameter that only files have.
    func stored(_ name: String, _ shape: Int..., isWide: Bool? = nil) -> ParameterRule {
        .reused("\(prefix).\(name)", shape: shape, isWide: isWide)
    }
}

/// What a published layer reads in one call.
struct PublishedInput {
    /// The outputs of ``PublishedLayer/inputMaps``, (B, T, outputs) each.
    let maps: [Tensor]
    /// Turns heads (B, T, H, K) by their positions.
    let rotary: RotaryTable
    private let context: MixerContext

    init(maps: [Tensor], rotary: RotaryTable, _ context: MixerContext) {
        (self.maps, self.rotary, self.context) = (maps, rotary, context)
    }

    /// Packed documents, at each of which a sequence begins anew; nil when there is one.
    var documents: Documents? { context.documents }

    /// A linear map of something else than the layer's input: x (..., I) → (..., O).
    func linear(_ x: Tensor, _ map: Linear) throws -> Tensor { try x.linear([map], context)[0] }

    /// Outputs (B, T, H · W) of a map as heads (B, T, H, W).
    func heads(_ x: Tensor, _ count: Int) throws -> Tensor {
        try x.reshaped(Array(x.shape.prefix(2)) + [count, x.shape[2] / count])
    }
}
