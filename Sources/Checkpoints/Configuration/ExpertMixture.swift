import Support
import Tensors

/// Experts: gated MLPs in the place of one, of which every token takes a few (Shazeer et al. 2017, arXiv 1701.06538).
public struct ExpertMixture: Sendable, Equatable {
    /// Experts of a layer, E.
    public var count: Int
    /// Experts of a token: those of the largest logits of the router.
    public var active: Int
    /// The width of one, F.
    public var width: Int
    /// Whether the weights of a token's experts, their shares of the softmax of all logits, are divided by their sum.
    public var isNormalised: Bool
    /// Layers with one MLP.
    public var denseLayers: Set<Int>

    /// A mixture in all layers but `denseLayers`.
    public init(count: Int, active: Int, width: Int, isNormalised: Bool, denseLayers: Set<Int> = []) {
        (self.count, self.active, self.width) = (count, active, width)
        (self.isNormalised, self.denseLayers) = (isNormalised, denseLayers)
    }
}

extension DecoderConfiguration {
    /// The experts of `layer`; nil where it has one MLP.
    public func experts(_ layer: Int) -> ExpertMixture? {
        experts.flatMap { $0.denseLayers.contains(layer) ? nil : $0 }
    }

    /// The layers that have experts.
    public var expertLayers: [Int] { (0..<layerCount).filter { experts($0) != nil } }

    /// Parameters of experts that a token does not take.
    public var idleParameters: Int {
        guard let experts else { return 0 }
        let ofLayer = (experts.count - experts.active) * 3 * experts.width * hiddenSize
        let (all, isTooMuch) = ofLayer.multipliedReportingOverflow(by: expertLayers.count)
        return isTooMuch ? .max : all
    }
}

extension ExpertMixture {
    /// Of the "decoder" object of Moult's config.json.
    var json: JSONValue {
        var json: JSONObject = [
            "count": .integer(count), "active": .integer(active), "width": .integer(width),
            "normalised": .bool(isNormalised),
        ]
        if !denseLayers.isEmpty { json["dense_layers"] = .array(denseLayers.sorted().map { .integer($0) }) }
        return .object(json)
    }

    /// Takes over what ``json`` has written of a decoder of so many layers.
    init(_ written: ConfigurationReader, layers: Int) throws {
        try self.init(
            written, layers: layers, count: "count", active: "active",
            width: written.integer("width", in: 1...1 << 24), isNormalised: written.bool("normalised", default: false),
            denseLayers: written.layers("dense_layers", below: layers))
    }

    /// Tensors are named one by one: more layers and experts than this no file has.
    private static let most = 1 << 18

    /// Reads the numbers of experts under these keys.
    init(
        _ file: ConfigurationReader, layers: Int, count: String, active: String,
        defaults: (count: Int?, active: Int?) = (nil, nil), width: Int, isNormalised: Bool, denseLayers: Set<Int> = []
    ) throws {
        let number = try file.integer(
            count, in: 1...min(Experts.most, Self.most / layers), default: defaults.count)
        let most = min(number, Experts.mostActive)
        self.init(
            count: number, active: try file.integer(active, in: 1...most, default: defaults.active), width: width,
            isNormalised: isNormalised, denseLayers: denseLayers)
    }
}
