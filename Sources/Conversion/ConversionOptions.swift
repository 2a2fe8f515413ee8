import Checkpoints
import Models
import Support
import Tensors

/// What to make of a Transformer.
public struct ConversionOptions: Sendable {
    /// The mixers that replace softmax attention, by their registered names: one for all layers, "gsa", or some layers' own,
    /// "0-9=gsa,10=attention", where the others get ``defaultMixer``.
    public var mixer = defaultMixer
    /// What layers get that are not named.
    public static let defaultMixer = GatedSlotAttention.name
    /// What the mixer is compatible with: the source's attention, or flash-linear-attention's model.
    public var profile = MixerProfile.softmaxPreserving
    /// Slots per key/value head of mixers that have them, M. Nil takes 16 beside a window, else 64.
    public var slots: Int?
    /// Other options of the mixers by name, as they stand under "moult.<mixer>" in config.json; those that are not there are
    /// each mixer's own to choose.
    public var mixerOptions = JSONObject()
    /// Tokens of local softmax attention beside the mixer; 0 for none. Nil takes the profile's default: 112, or 0 for fla.
    public var window: Int?
    /// Tokens at the beginning of every document that bounded softmax attention sees. Nil takes the profile's default: 4, or
    /// 0 for fla.
    public var sinks: Int?
    /// What keeps the source's softmax attention.
    public var keptAttention = KeptAttention()
    /// Tokens that what keeps softmax attention sees; 0 for all. Nil takes the profile's default: 4096, or 0 for fla.
    public var attentionWindow: Int?
    /// Where it places them.
    public var attentionPositions = AttentionPositions.source
    /// The type of weight matrices: float32 or bfloat16. Nil keeps the source's; quantised sources become bfloat16.
    public var dtype: DType?
    /// Seed of the new parameters; the same seed gives the same bytes.
    public var seed: UInt64 = 0
    /// Converts weights that are NaN or infinite instead of refusing.
    public var allowNonFinite = false

    /// The defaults: the source's attention is kept as far as its window goes, and a memory knows the rest.
    public init() {}

    /// What config.json holds of each of these mixers, by name, in a model with the dimensions of `source`.
    /// - Throws: ``ConversionError/option(name:expected:found:)``.
    func options(of mixers: [String], _ source: DecoderConfiguration) throws -> JSONObject {
        let window = window ?? (profile == .fla ? 0 : 112)
        guard MixerRequest.windowRange.contains(window) else {
            throw ConversionError.option(name: "window", expected: "0 to 1048576 tokens", found: "\(window)")
        }
        if profile == .fla, mixers.count != 1 {
            throw ConversionError.option(
                name: "mixer", expected: "one mixer in all layers with profile fla", found: "'\(mixer)'")
        }
        let types = try mixers.map { try MixerRegistry.mixer(named: $0) }
        var asked = mixerOptions
        if let slots { asked["slots"] = .integer(slots) }
        for option in asked.keys where !types.contains(where: { $0.optionNames.contains(option) }) {
            throw unknown(option, of: mixers)
        }
        return try JSONObject(
            types.compactMap { type in
                let request = MixerRequest(profile: profile, window: window, options: asked, decoder: source)
                do { return try type.options(request).map { (type.name, .object($0)) } } catch ModelError.configuration(
                    let key, let expected, let found)
                {
                    // On command lines nothing but whole numbers is read there.
                    let range = expected.trimmingPrefix("an integer from ")
                    throw ConversionError.option(name: name(of: key), expected: String(range), found: found)
                }
            })
    }

    /// What errors call a mixer's option.
    private func name(of option: String) -> String {
        mixerOptions[option] == nil || option == "slots" && slots != nil ? option : "mixerOptions.\(option)"
    }

    /// The refusal of an option that none of these mixers has.
    private func unknown(_ option: String, of mixers: [String]) -> ConversionError {
        let all = MixerRegistry.all
        let having = all.filter { $0.optionNames.contains(option) }.map { "'\($0.name)'" }
        if having.isEmpty {
            let known = Set(all.flatMap { $0.optionNames }).sorted()
            return .option(
                name: name(of: option), expected: "one of the mixers' options, \(known.joined(separator: ", "))",
                found: "'\(option)'" + Suggestion.hint(option, among: known))
        }
        let names = (mixers.isEmpty ? [SoftmaxAttention.name] : mixers).map { "'\($0)'" }
        return .option(
            name: name(of: option),
            expected: "to be used with mixer \(having.joined(separator: " or ")), which has it",
            found: "mixer \(names.joined(separator: ", "))")
    }

    /// What is kept of softmax attention in a model with the dimensions of `source`.
    /// - Throws: ``ConversionError/option(name:expected:found:)``.
    func attention(_ source: DecoderConfiguration) throws -> SoftmaxAttention.Options {
        let isFLA = profile == .fla
        func refuse(_ name: String, _ expected: String, _ found: Int) -> ConversionError {
            .option(name: name, expected: expected, found: "\(found)")
        }
        let (sinks, window) = (sinks ?? (isFLA ? 0 : 4), attentionWindow ?? (isFLA ? 0 : 4096))
        guard (0...(isFLA ? 0 : AttentionSpan.mostSinks)).contains(sinks) else {
            throw refuse(
                "sinks", isFLA ? "0 with profile fla, which has none" : "0 to \(AttentionSpan.mostSinks)", sinks)
        }
        let most = SoftmaxAttention.Options.windowRange.upperBound
        guard (0...(isFLA ? 0 : most)).contains(window) else {
            throw refuse(
                "attentionWindow",
                isFLA ? "0 with profile fla, whose kept attention sees all" : "1 to \(most) tokens, or 0 for all",
                window)
        }
        try checkPositions(source)
        try keptAttention.check(layers: source.layerCount, heads: source.keyValueHeadCount)
        let heads = keptAttention.heads(of: source.keyValueHeadCount)
        if isFLA, let layer = heads.keys.min() {
            throw ConversionError.option(
                name: "keptAttention", expected: "whole layers with profile fla, which cannot express heads",
                found: "heads of layer \(layer)")
        }
        return .init(
            window: window == 0 ? nil : window, sinks: sinks, heads: heads, positions: attentionPositions)
    }

    private func checkPositions(_ source: DecoderConfiguration) throws {
        let name = attentionPositions.divisor == 1 ? "attentionLogScale" : "attentionPositions"
        if let divisor = attentionPositions.divisor, !AttentionPositions.divisors.contains(divisor) {
            throw ConversionError.option(name: name, expected: AttentionPositions.expected, found: "\(divisor)")
        }
        guard let found = attentionPositions.summary else { return }
        let expected: String? =
            profile == .fla
            ? "the source's positions with profile fla, which cannot express others"
            : source.globalWindow.map {
                "the source's positions, for its window of \($0) tokens goes no further than it was trained"
            }
        if let expected { throw ConversionError.option(name: name, expected: expected, found: found) }
    }
}
