import Models
import Tensors

/// How the learning rate of each matrix relates to that of the stage, so that one recipe does to any model what it does to the one
/// that it was tuned on: a step of Adam's changes every element by about the rate, whether the elements are a fiftieth or a fifth.
///
/// A reused matrix is changed relative to its root mean square (Shazeer and Stern 2018, arXiv 1804.04235, section 8), and the outputs
/// of a map that conversion made by as much in every model: its rate falls with the root of the input's width and with the
/// input's root mean square, as the map itself does (``Initialiser/map(outputs:norm:)``). Vectors keep the stage's rate.
package struct RateScales {
    /// The root mean square of SmolLM2-135M's projections, median of its layers.
    static let weight = 0.19
    /// The root of the width of its layers' inputs (576) times their root mean square, the median of its norms' weights (0.32).
    static let input = 7.7

    private let scales: [String: Double]

    /// The scales of `model` as it is before its run.
    package init(_ model: TrainableModel) throws {
        var scales: [String: Double] = [:]
        for rule in model.rules where rule.shape.count > 1 {
            switch rule.origin {
            case .reused:
                scales[rule.name] = try Initialiser.strength(model.strength(rule.name)) / Self.weight
            case .initialised(.map(_, let norm)):
                let input = try norm.map { try model.strength($0) } ?? 1
                scales[rule.name] = Self.input * Initialiser.mapDeviation(rule.shape, input: input)
            case .initialised: break
            }
        }
        self.scales = scales
    }

    /// What the rate of a parameter is multiplied by.
    package subscript(name: String) -> Double { scales[name] ?? 1 }
}
