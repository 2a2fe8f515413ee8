import Checkpoints
import Support
import Tensors

/// The mixer of a layer of flash-linear-attention's models: what every ``PublishedLayer`` has alike.
struct PublishedMixer<Layer: PublishedLayer>: TokenMixer {
    /// Beside the memory of converted models, whose name is the plain one.
    static var name: String { "fla." + Layer.modelType }
    static var title: String { Layer.title }
    static var flashLinearAttentionType: String? { Layer.modelType }

    private let layer: Layer
    private let state: [StateTensor]
    /// The kind of the layer's rotary positions.
    private let kind: Int

    static func rules(_ configuration: ModelConfiguration, layer: Int) throws -> [ParameterRule] {
        Layer.rules(PublishedPlace(configuration, layer: layer), try options(configuration))
    }

    init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws {
        let options = try Self.options(configuration)
        self.layer = try Layer(PublishedPlace(configuration, layer: layer), options, parameters: parameters)
        state = Layer.state(options)
        kind = DecoderRotary.kind(layer, of: configuration.decoder)
    }

    private static func options(_ configuration: ModelConfiguration) throws -> Layer.Options {
        let decoder = configuration.decoder
        return try Layer.Options(MixerOptionsReader(json: decoder.json, prefix: "", decoder: decoder, profile: .fla))
    }

    var outputMap: Linear { layer.outputMap }

    // MARK: Forward

    func callAsFunction(_ input: NormedInput, state: MixerState?, context: MixerContext) throws -> Tensor {
        let maps = try input.linear(layer.inputMaps, context)
        let published = PublishedInput(maps: maps, rotary: context.turns[kind].mixer.keys, context)
        return try MemoryState.read(state?.required(as: MemoryState.self), context) {
            try layer(published, state: &$0)
        }
    }

    // MARK: State

    func makeState(rows: Int, cache: CacheType) throws -> MixerState {
        let device = outputMap.weight.device
        return MemoryState(
            memory: try MemoryTensors(state, rows: rows, on: device), window: nil, kept: nil,
            staysInPlace: device.traits.recordsWork)
    }

    func makeCarriedState(rows: Int, tokens: Int) throws -> MixerState { try makeState(rows: rows, cache: .float32) }

    static func stateCost(
        _ configuration: ModelConfiguration, layer: Int, on device: Device, cache: CacheType
    ) throws -> StateCost {
        StateCost(
            constant: Layer.state(try options(configuration)).reduce(0) { $0 + $1.byteCount(on: device) }, perToken: 0)
    }

    // MARK: Conversion

    static func flashLinearAttentionFile(_ configuration: ModelConfiguration, dtype: DType) throws -> JSONObject {
        let decoder = configuration.decoder
        guard let own = Layer.file(decoder) else {
            throw ModelError.configuration(
                key: "profile", expected: "'\(MixerProfile.softmaxPreserving.rawValue)'",
                found: "'\(MixerProfile.fla.rawValue)', whose \(Layer.modelType) cannot express a converted model")
        }
        try MixerOptionsReader(json: decoder.json, prefix: "", decoder: decoder, profile: .fla)
            .requireFlashLinearAttention()
        var json = configuration.flashLinearAttentionFile(Layer.modelType, dtype: dtype)
        for (key, value) in own.pairs { json[key] = value }
        configuration.writeFlashLinearAttention(to: &json)
        return json
    }
}
