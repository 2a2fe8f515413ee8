import Checkpoints
import Support
import Tensors

/// A model's whole configuration: the decoder's dimensions, and which mixer each layer has.
public struct ModelConfiguration: Sendable, Equatable {
    /// The decoder's dimensions.
    public var decoder: DecoderConfiguration
    /// The mixer of each layer, by ``TokenMixer/name``.
    public var mixers: [String]
    /// Each mixer's own options, by its name, as config.json holds them under "moult".
    public var mixerOptions: JSONObject
    /// What the checkpoint calls its parameters.
    public var names: ParameterNames

    /// Of the "moult" object in config.json: 2 where there is an "attention" object, which 1 would not see; see
    /// ``SoftmaxAttention/Options/version``; 4 where there is a "decoder" object, which 3 would not see.
    private static let versions: ClosedRange<Double> = 1...4

    /// A configuration of these parts, which are not checked: `DecoderModel` does that when it is made.
    public init(decoder: DecoderConfiguration, mixers: [String], mixerOptions: JSONObject, names: ParameterNames) {
        self.decoder = decoder
        self.mixers = mixers
        self.mixerOptions = mixerOptions
        self.names = names
    }

    /// Reads which mixers `decoder` describes: a plain Transformer, a flash-linear-attention model, or Moult's own.
    /// - Throws: ``ModelError/configuration(key:expected:found:)``.
    public init(_ decoder: DecoderConfiguration) throws {
        let layers = decoder.layerCount
        switch decoder.modelType {
        case let type where ParameterNames(modelType: type) == .flashLinearAttention:
            let mixer = try MixerRegistry.mixer(flashLinearAttention: type).name
            var mixers = [String](repeating: mixer, count: layers)
            var decoder = decoder
            switch decoder.json["attn"] ?? .null {
            case .null: break
            case .object(let attention):
                for layer in try Self.layers(attention["layers"], count: layers) {
                    mixers[layer] = SoftmaxAttention.name
                }
                try Self.adopt(attention, into: &decoder)
            case let found:
                throw ModelError.configuration(
                    key: "attn", expected: "one object for all layers with attention", found: found.summary)
            }
            self.init(decoder: decoder, mixers: mixers, mixerOptions: JSONObject(), names: .flashLinearAttention)
        case "moult":
            guard let moult = decoder.json["moult"], case .object(let options) = moult else {
                throw ModelError.configuration(key: "moult", expected: "an object", found: "nothing")
            }
            guard let version = options["version"]?.doubleValue, Self.versions.contains(version) else {
                throw ModelError.configuration(
                    key: "moult.version", expected: "1 to 4, the versions this Moult reads",
                    found: (options["version"] ?? .null).summary)
            }
            guard case .array(let entries)? = options["layers"], entries.count == layers else {
                throw ModelError.configuration(
                    key: "moult.layers", expected: "\(layers) mixer names", found: (options["layers"] ?? .null).summary)
            }
            let mixers = try entries.map { entry in
                guard case .string(let name) = entry else {
                    throw ModelError.configuration(key: "moult.layers", expected: "mixer names", found: entry.summary)
                }
                return try MixerRegistry.mixer(named: name).name
            }
            self.init(decoder: decoder, mixers: mixers, mixerOptions: options, names: .huggingFace)
        default:
            self.init(
                decoder: decoder, mixers: .init(repeating: SoftmaxAttention.name, count: layers),
                mixerOptions: JSONObject(),
                names: .huggingFace)
        }
    }

    /// Takes over the positions and the window of the softmax layers of a flash-linear-attention hybrid.
    private static func adopt(_ attention: JSONObject, into decoder: inout DecoderConfiguration) throws {
        let required: [(String, JSONValue)] = [
            ("num_heads", .integer(decoder.headCount)), ("num_kv_heads", .integer(decoder.keyValueHeadCount)),
            ("qkv_bias", false), ("qk_norm", false),
        ]
        for (key, expected) in required {
            if let found = attention[key], found != expected, found != .null {
                throw ModelError.configuration(key: "attn.\(key)", expected: expected.summary, found: found.summary)
            }
        }
        decoder.ropeTheta = try number(attention, "rope_theta", upTo: 1e12) ?? 10_000
        if let window = try number(attention, "window_size", upTo: 2_147_483_648) {
            guard window >= 1, window == window.rounded() else {
                throw ModelError.configuration(
                    key: "attn.window_size", expected: "a whole number", found: "\(window)")
            }
            decoder.slidingWindow = Int(window)
        }
    }

    /// A number above 0; nil when there is none or null.
    private static func number(_ json: JSONObject, _ key: String, upTo limit: Double) throws -> Double? {
        guard let value = json[key], value != .null else { return nil }
        guard let number = value.doubleValue, number > 0, number <= limit else {
            throw ModelError.configuration(
                key: "attn.\(key)", expected: "a number above 0, at most \(limit)", found: value.summary)
        }
        return number
    }

    /// Memory of one sequence on `device`, on the processor with keys and values held as `cache`.
    public func stateCost(on device: Device = .cpu, cache: CacheType = .float32) throws -> StateCost {
        try mixers.enumerated().reduce(StateCost(constant: 0, perToken: 0)) { total, entry in
            try total
                + MixerRegistry.mixer(named: entry.element).stateCost(
                    self, layer: entry.offset, on: device, cache: cache)
        }
    }

    /// The Transformer that these mixers stand in: all layers with the source's softmax attention. nil for what is one.
    public var transformer: ModelConfiguration? {
        let attention = [String](repeating: SoftmaxAttention.name, count: decoder.layerCount)
        guard mixers != attention else { return nil }
        return ModelConfiguration(decoder: decoder, mixers: attention, mixerOptions: JSONObject(), names: names)
    }

    /// The softmax attention that is kept.
    public var attention: SoftmaxAttention.Options {
        get throws { try SoftmaxAttention.Options(self) }
    }

    /// The distance at which mixers see sinks that are further away: the greatest that the source was trained on, unless their
    /// window reaches further.
    var farthestDistance: Int {
        get throws {
            let sinks = try attention.sinks
            return try Set(mixers).reduce(decoder.farthestDistance) { farthest, name in
                let window = try MixerRegistry.mixer(named: name).window(self)
                let span = window.map { AttentionSpan(window: $0, sinks: sinks) }
                return max(farthest, span?.firstBeyondSinks ?? 0)
            }
        }
    }

    private static func layers(_ json: JSONValue?, count: Int) throws -> [Int] {
        let failure = ModelError.configuration(
            key: "attn.layers", expected: "layer numbers from 0 to \(count - 1)", found: (json ?? .null).summary)
        guard case .array(let entries)? = json else { throw failure }
        return try entries.map { entry in
            guard let number = entry.doubleValue, let layer = Int(exactly: number), (0..<count).contains(layer) else {
                throw failure
            }
            return layer
        }
    }
}
