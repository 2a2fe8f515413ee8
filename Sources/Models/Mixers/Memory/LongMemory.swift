import Checkpoints
import Support
import Tensors

/// What a layer remembers of tokens beyond its window: a recurrence with a state of constant size. This, in one file, is all that
/// a mixer writes of its own; ``MemoryMixer`` puts it beside a Transformer's projections, window with sinks and kept heads.
///
/// Everything else follows: conversion and loading from ``rules(_:_:)``; copies, forks, files, costs and what rows in training
/// take over from ``state(_:_:)``; training, prompts and decoding from ``callAsFunction(_:state:)``, which a step captures once with
/// T = 1, so that what it does may not depend on elements.
public protocol LongMemory: Sendable {
    /// The mixer's name in config.json and on the command line.
    static var name: String { get }
    /// Its name for people, and its source: "Gated Slot Attention (arXiv 2409.07146)".
    static var title: String { get }

    /// What config.json says of the mixer.
    associatedtype Options: MemoryOptions

    /// The parameters that are the memory's own, each with what conversion makes of it. Where key/value heads have parameters of
    /// their own, these stand along the first extent, as many rows for each head; those of queries, keys and values are
    /// tensors by themselves. So heads that get their softmax attention back leave the others theirs.
    static func rules(_ layer: MemoryLayer, _ options: Options) throws -> [ParameterRule]

    /// The state of a sequence.
    static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor]

    /// Takes its parameters from `parameters`, which holds what ``rules(_:_:)`` lists.
    init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) throws

    /// Maps of the layer's input beside those to q, k and v, which are computed with these in one pass.
    var inputMaps: [Linear] { get }

    /// Whether q and k come with the source's rotary positions.
    var isRotated: Bool { get }

    /// Reads T tokens of each of B sequences.
    /// - Parameter state: the tensors of ``state(_:_:)``, (B, extents) each, which become those after the tokens; none for whole
    ///   sequences, which nothing follows.
    /// - Returns: what the heads read of it, (B, T, n · G, V).
    func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) throws -> Tensor

    /// What one token does with the slots of the memory; nil where it has none. Asked for by ``DecoderModel/memoryUses(of:state:)`` alone.
    /// - Parameters:
    ///   - input: one token of one sequence.
    ///   - state: as it is after the token.
    func slotUse(_ input: MemoryInput, _ state: MemoryTensors) throws -> SlotUse?

    /// Floats that recording one token keeps for the way back, beside q, k, v, two outputs and as many gates. The default is what
    /// a matrix for each head leaves behind in chunks of 64 tokens: of decays, keys and values, eighteen numbers a channel at most, and
    /// the states between chunks.
    static func activationFloats(_ layer: MemoryLayer, _ options: Options) -> Int

    // MARK: flash-linear-attention

    /// The `model_type` of flash-linear-attention's models of this mixer; nil where there are none, or none that load.
    static var flashLinearAttentionType: String? { get }

    /// The config.json of such a model.
    static func flashLinearAttentionFile(
        _ configuration: ModelConfiguration, _ options: Options, dtype: DType
    ) -> JSONObject
}

extension LongMemory {
    public static func activationFloats(_ layer: MemoryLayer, _ options: Options) -> Int {
        18 * layer.keyValueHeads * layer.headDim + state(layer, options).reduce(0) { $0 + $1.count } / 64
    }

    public var inputMaps: [Linear] { [] }
    public static var flashLinearAttentionType: String? { nil }

    public func slotUse(_ input: MemoryInput, _ state: MemoryTensors) throws -> SlotUse? { nil }

    public static func flashLinearAttentionFile(
        _ configuration: ModelConfiguration, _ options: Options, dtype: DType
    ) -> JSONObject { JSONObject() }
}

/// The layer that a memory is part of.
public struct MemoryLayer: Sendable {
    /// The source's dimensions.
    public let decoder: DecoderConfiguration
    /// The layer, from 0 on.
    public let layer: Int
    /// What the model is compatible with.
    public let profile: MixerProfile
    /// Key/value heads that have the memory, n of N.
    public let keyValueHeads: Int
    /// The prefix of the mixer's parameters, without a final dot.
    public let prefix: String
    /// The weight of the norm before the mixer, for ``Initialiser/map(outputs:norm:)``; nil without one.
    public let norm: String?

    /// Model width, D.
    public var hiddenSize: Int { decoder.hiddenSize }
    /// Query heads of a key/value head, G.
    public var group: Int { decoder.headCount / max(1, decoder.keyValueHeadCount) }
    /// Query heads that read the memory, n · G.
    public var heads: Int { keyValueHeads * group }
    /// Width of a head: K of queries and keys and V of values.
    public var headDim: Int { decoder.headDim }
    /// What the source multiplies products of queries and keys by.
    public var scale: Float { decoder.scoreScale }

    init(_ configuration: ModelConfiguration, layer: Int) throws {
        (decoder, self.layer) = (configuration.decoder, layer)
        profile = MixerProfile(configuration.names)
        keyValueHeads = try decoder.keyValueHeadCount - (configuration.attention.heads[layer]?.count ?? 0)
        prefix = configuration.names.mixer(layer)
        norm = decoder.normPlacement == .after ? nil : configuration.names.mixerNorm(layer) + ".weight"
    }
}

/// What a memory reads in one call.
public struct MemoryInput {
    /// Queries (B, T, n · G, K).
    public var q: Tensor
    /// Keys (B, T, n, K).
    public var k: Tensor
    /// Values (B, T, n, V).
    public var v: Tensor
    /// The outputs of ``LongMemory/inputMaps``, (B, T, outputs) each.
    public var maps: [Tensor]
    private let normed: NormedInput
    private let context: MixerContext

    init(q: Tensor, k: Tensor, v: Tensor, maps: [Tensor], x: NormedInput, _ context: MixerContext) {
        (self.q, self.k, self.v, self.maps, normed, self.context) = (q, k, v, maps, x, context)
    }

    /// The layer's normed input (B, T, D).
    public var x: Tensor { get throws { try normed.tensor() } }

    /// Packed documents, at each of which a sequence begins anew; nil when there is one.
    public var documents: Documents? { context.documents }

    /// Linear maps of something else than the layer's input: x (..., I) → (..., O) each.
    public func linear(_ x: Tensor, _ maps: [Linear]) throws -> [Tensor] { try x.linear(maps, context) }
}
