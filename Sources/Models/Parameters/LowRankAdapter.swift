import Checkpoints
import Tensors

/// What is learned beside a linear map that stands still: y = W x + B (A x) (Hu et al. 2021, arXiv 2106.09685, section
/// 4.1). The paper's scale α / r is part of B, so that the map with its adapter is the map W + B A.
public struct LowRankAdapter: Sendable {
    /// A (r, I).
    public let down: Tensor
    /// B (O, r).
    public let up: Tensor

    private static let (downEnding, upEnding) = (".lora_A.weight", ".lora_B.weight")

    /// The names of A and B beside the map `map`, whose weight is `map`.weight.
    public static func names(of map: String) -> (down: String, up: String) { (map + downEnding, map + upEnding) }

    /// The map whose weight is `name`.
    public static func map(ofWeight name: String) -> String { String(name.dropLast(".weight".count)) }

    /// The map that the parameter `name` is A or B of; nil for any other parameter.
    public static func part(_ name: String) -> (map: String, isUp: Bool)? {
        for (ending, isUp) in [(downEnding, false), (upEnding, true)] where name.hasSuffix(ending) {
            return (String(name.dropLast(ending.count)), isUp)
        }
        return nil
    }

    /// Those of a model's `rules` whose matrices may have adapters: the weights (O, I) of linear maps in mixers and
    /// MLPs that conversion takes from the Transformer. Not experts' and their routers'.
    public static func maps(_ rules: [ParameterRule], of configuration: ModelConfiguration) -> [ParameterRule] {
        let names = configuration.names
        let prefixes = configuration.mixers.indices.flatMap { layer in
            [names.mixer(layer) + "."]
                + (configuration.decoder.experts(layer) == nil ? [names.mlp(layer) + "."] : [])
        }
        return rules.filter { rule in
            guard case .reused = rule.origin, rule.shape.count == 2, !rule.isWide else { return false }
            return rule.name.hasSuffix(".weight") && prefixes.contains { rule.name.hasPrefix($0) }
        }
    }
}

extension Parameters {
    /// The adapter of the map `prefix`, where there is one.
    func adapter(_ prefix: String) -> LowRankAdapter? {
        let names = LowRankAdapter.names(of: prefix)
        guard let down = try? self[names.down], let up = try? self[names.up] else { return nil }
        return LowRankAdapter(down: down, up: up)
    }
}
