import Checkpoints
import Support
import Tensors

/// What a converted model is compatible with: flash-linear-attention's model, or the source's attention.
public enum MixerProfile: String, Sendable, CaseIterable {
    /// Loads in flash-linear-attention.
    case fla
    /// Keeps the source's attention: rotary positions, scale 1/sqrt(K), plain values.
    case softmaxPreserving = "softmax-preserving"

    init(_ names: ParameterNames) { self = names == .flashLinearAttention ? .fla : .softmaxPreserving }
}

/// What config.json says of a memory, beside its window.
public protocol MemoryOptions: Sendable, Equatable {
    /// The names of what conversion may be asked for, as config.json has them.
    static var names: [String] { get }

    /// What conversion takes where nothing else is asked for.
    /// - Parameter window: tokens of the window beside the memory; 0 for none.
    init(window: Int)

    /// Reads the options of a model, and checks that the layer can be built with them.
    /// - Throws: ``ModelError/configuration(key:expected:found:)``.
    init(_ file: MixerOptionsReader) throws

    /// The options as members of "moult.<name>" in config.json.
    var json: JSONObject { get }

    /// In words, for model cards: "16 slots per key/value head"; nil where there is nothing to say.
    var summary: String? { get }

    /// The same as a line of a list: "slots", "16 for each key/value head". By default the mixer's name and the summary.
    var line: (label: String, text: String)? { get }
}

extension MemoryOptions {
    public var line: (label: String, text: String)? { nil }
}

/// Those of a memory that has none.
public struct NoMemoryOptions: MemoryOptions {
    public static let names: [String] = []
    public let json = JSONObject()
    public var summary: String? { nil }

    public init(window: Int) {}
    public init(_ file: MixerOptionsReader) {}

    public static func == (left: NoMemoryOptions, right: NoMemoryOptions) -> Bool { true }
}

/// Reads a mixer's options from config.json: the members of "moult.<name>", or those of flash-linear-attention's file.
public struct MixerOptionsReader: Sendable {
    /// What is read.
    public let json: JSONObject
    /// What errors put before a member's name.
    let prefix: String
    /// The model's dimensions.
    public let decoder: DecoderConfiguration
    /// What the model is compatible with.
    public let profile: MixerProfile

    /// A whole number; nil where there is none.
    public func integer(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
        try json.integer(key, named: prefix + key, in: range)
    }

    /// A number; nil where there is none.
    public func number(_ key: String, in range: ClosedRange<Double>) throws -> Double? {
        guard let value = json[key], value != .null else { return nil }
        guard let number = value.doubleValue, range.contains(number) else {
            throw refusal(key, expected: "a number from \(range.lowerBound) to \(range.upperBound)", found: value)
        }
        return number
    }

    /// True or false; nil where there is none.
    public func flag(_ key: String) throws -> Bool? {
        switch json[key] ?? .null {
        case .null: return nil
        case .bool(let value): return value
        case let found: throw refusal(key, expected: "true or false", found: found)
        }
    }

    /// Refuses a file in which `key` is there and something else.
    public func require(_ key: String, equals expected: JSONValue) throws {
        guard let found = json[key], found != expected,
            found.doubleValue == nil || found.doubleValue != expected.doubleValue
        else {
            return
        }
        throw refusal(key, expected: expected.summary, found: found)
    }

    /// The error for a member that is not what was `expected`.
    func refusal(_ key: String, expected: String, found: JSONValue) -> ModelError {
        .configuration(key: prefix + key, expected: expected, found: found.summary)
    }

    /// Refuses models that flash-linear-attention's have no place for: with something beyond Llama, biases, or heads that are not
    /// as wide as the model together.
    public func requireFlashLinearAttention() throws {
        let values = decoder.headCount * decoder.headDim
        if values != decoder.hiddenSize {
            throw ModelError.configuration(
                key: "head_dim",
                expected: "heads × head_dim = hidden_size (\(decoder.hiddenSize)) in the fla profile",
                found: "\(decoder.headCount) × \(decoder.headDim) = \(values)")
        }
        if let beyond = decoder.beyondLlama.keys.first {
            throw ModelError.configuration(
                key: beyond, expected: "nothing beyond Llama in the fla profile, or the softmax-preserving profile",
                found: (decoder.beyondLlama[beyond] ?? .null).summary)
        }
        if decoder.attentionBias || decoder.outputBias || decoder.mlpBias {
            throw ModelError.configuration(
                key: "attention_bias",
                expected: "a model without biases in the fla profile, or the softmax-preserving profile",
                found: "true")
        }
    }
}

/// All options of a ``MemoryMixer``: those of its memory, and the window beside it.
struct MemoryMixerOptions<Memory: LongMemory>: Sendable {
    var memory: Memory.Options
    /// Tokens of the softmax window; 0 for none.
    var window: Int

    /// Reads the options from a configuration and checks that the layer can be built with them.
    /// - Throws: ``ModelError/configuration(key:expected:found:)``.
    init(_ configuration: ModelConfiguration) throws {
        let decoder = configuration.decoder
        if configuration.names == .flashLinearAttention {
            try self.init(MixerOptionsReader(json: decoder.json, prefix: "", decoder: decoder, profile: .fla))
        } else {
            let json = configuration.mixerOptions[Memory.name]
            try self.init(
                MixerOptionsReader(
                    json: json?.objectValue ?? JSONObject(), prefix: "moult.\(Memory.name).", decoder: decoder,
                    profile: .softmaxPreserving))
        }
    }

    init(_ file: MixerOptionsReader) throws {
        guard file.profile == .softmaxPreserving else {
            (memory, window) = (try Memory.Options(file), 0)
            return
        }
        if let found = file.json["profile"], found != .string(file.profile.rawValue) {
            throw ModelError.configuration(
                key: file.prefix + "profile", expected: "'\(file.profile.rawValue)'", found: found.summary)
        }
        memory = try Memory.Options(file)
        window = try file.integer("window", in: MixerRequest.windowRange) ?? 0
    }

    /// What the window sees, with so many sinks; nil without a window.
    func span(sinks: Int) -> AttentionSpan? { window > 0 ? AttentionSpan(window: window, sinks: sinks) : nil }
}
