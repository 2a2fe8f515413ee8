import Models
import Support
import Tensors

/// Adapters of random A and B beside every map of a model that may have one, and the same maps without: W + B A, summed in float64.
package struct RandomAdapters {
    /// A (r, I) and B (O, r) by name, float32.
    package private(set) var parameters: [String: Tensor] = [:]
    /// The merged weights by name, float32.
    package private(set) var merged: [String: Tensor] = [:]
    /// The names of the maps.
    package private(set) var maps: [String] = []

    package init(_ configuration: ModelConfiguration, _ weights: [String: Tensor], rank: Int) throws {
        var generator = SplitMix64(seed: 5)
        for rule in LowRankAdapter.maps(try DecoderModel.rules(configuration), of: configuration) {
            guard let weight = weights[rule.name] else { continue }
            let map = String(rule.name.dropLast(".weight".count)), names = LowRankAdapter.names(of: map)
            let (outputs, inputs) = (rule.shape[0], rule.shape[1])
            func random(_ count: Int) -> [Float] { (0..<count).map { _ in Float(generator.normal() * 0.1) } }
            let (down, up) = (random(rank * inputs), random(outputs * rank))
            parameters[names.down] = try Tensor(down, shape: [rank, inputs])
            parameters[names.up] = try Tensor(up, shape: [outputs, rank])
            let values = try weight.converted(to: .float32).array(Float.self).enumerated().map { index, value in
                let (row, column) = (index / inputs, index % inputs)
                return (0..<rank).reduce(Double(value)) {
                    $0 + Double(up[row * rank + $1]) * Double(down[$1 * inputs + column])
                }
            }
            merged[rule.name] = try Tensor(values.map { Float($0) }, shape: rule.shape)
            maps.append(map)
        }
    }
}
