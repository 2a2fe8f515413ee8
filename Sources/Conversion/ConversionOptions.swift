import Checkpoints
import Models
import Tensors

/// What to make of a Transformer.
public struct ConversionOptions: Sendable {
    /// The mixer that replaces softmax attention, by its registered name.
    public var mixer = GatedSlotAttention.name
    /// What the mixer is compatible with: the source's attention, or flash-linear-attention's model.
    public var profile = GatedSlotAttention.Profile.softmaxPreserving
    /// Slots per key/value head, M. Nil takes 16 beside a window, else 64.
    public var slots: Int?
    /// Tokens of local softmax attention beside the slots; 0 for none. Nil takes the profile's default: 112, or 0 for fla.
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

    /// The defaults: the source's attention is kept as far as its window goes, and slots remember the rest.
    public init() {}

    /// The mixer's options that these describe.
    /// - Throws: ``ConversionError/option(name:expected:found:)``.
    func slotAttention() throws -> GatedSlotAttention.Options {
        // At equal bytes a longer window beside fewer slots predicts better, and recalls as much: docs/recipe.md, "The study".
        let window = window ?? (profile == .fla ? 0 : 112)
        let slots = slots ?? (window == 0 ? 64 : 16)
        if profile == .fla, window != 0 {
            throw ConversionError.option(
                name: "window", expected: "0 with profile fla, which has no local window", found: "\(window)")
        }
        guard (1...4096).contains(slots) else {
            throw ConversionError.option(name: "slots", expected: "1 to 4096", found: "\(slots)")
        }
        guard (0...1_048_576).contains(window) else {
            throw ConversionError.option(name: "window", expected: "0 to 1048576 tokens", found: "\(window)")
        }
        return .init(profile: profile, slots: slots, window: window)
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
