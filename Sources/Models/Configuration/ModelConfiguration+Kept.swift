import Checkpoints
import Tensors

extension ModelConfiguration {
    /// The same with softmax attention kept in more key/value heads of `layer`; when all of its heads have it, in the layer.
    /// Of models in Moult's own form alone.
    /// - Throws: ``ModelError/configuration(key:expected:found:)``.
    public func keeping(_ heads: HeadSet, layer: Int) throws -> ModelConfiguration {
        guard case .object(var moult)? = decoder.json["moult"] else {
            throw ModelError.configuration(
                key: "model_type", expected: "'moult', whose heads can be told apart", found: "'\(decoder.modelType)'")
        }
        var attention = try attention
        let kept = HeadSet((attention.heads[layer]?.heads ?? []) + heads.heads)
        var result = self
        let isWhole = kept.count == decoder.keyValueHeadCount
        attention.heads[layer] = isWhole ? nil : kept
        if isWhole { result.mixers[layer] = SoftmaxAttention.name }
        if moult["decoder"] == nil { moult["version"] = .integer(attention.version) }
        moult["layers"] = .array(result.mixers.map { .string($0) })
        moult[SoftmaxAttention.name] = attention.json
        result.mixerOptions = moult
        result.decoder.json["moult"] = .object(moult)
        return result
    }

    /// The heads of `layer` that have softmax attention.
    public func keptHeads(_ layer: Int) throws -> HeadSet {
        mixers[layer] == SoftmaxAttention.name
            ? HeadSet(0..<decoder.keyValueHeadCount) : try attention.heads[layer] ?? HeadSet([])
    }
}
