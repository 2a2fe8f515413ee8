import Checkpoints

/// The rotary positions of a decoder: most have one kind for all layers.
public struct DecoderRotary: Sendable {
    /// The kinds, of which ``kind(_:of:)`` is that of a layer.
    let kinds: [RotaryEmbedding]
    private let ofLayer: [Int]

    /// The positions that `decoder` describes.
    public init(_ decoder: DecoderConfiguration) {
        let (ropes, ofLayer) = Self.kinds(of: decoder)
        kinds = ropes.map { RotaryEmbedding(decoder, $0) }
        self.ofLayer = ofLayer
    }

    /// The number of the kind of `layer` of `decoder`.
    static func kind(_ layer: Int, of decoder: DecoderConfiguration) -> Int { kinds(of: decoder).ofLayer[layer] }

    private static func kinds(of decoder: DecoderConfiguration) -> (ropes: [DecoderConfiguration.Rope?], ofLayer: [Int])
    {
        var ropes: [DecoderConfiguration.Rope?] = []
        let ofLayer = (0..<decoder.layerCount).map { layer in
            let rope = decoder.rope(layer)
            if let known = ropes.firstIndex(of: rope) { return known }
            ropes.append(rope)
            return ropes.count - 1
        }
        return (ropes, ofLayer)
    }

    /// The frequencies of all layers, one after another, in radians per token.
    public var frequencies: [Float] { ofLayer.flatMap { kinds[$0].frequencies } }
}
