import Models
import Support

/// Which mixer each layer of a model gets, as command lines name them: "gla" for all layers, or "0-9=gsa,10=attention" for some,
/// where the rest get the default one.
struct MixerAssignment {
    /// The mixer of each layer.
    let mixers: [String]

    /// Every mixer that is named or that a layer has, in the order of its first layer; without softmax attention, which is the
    /// source's.
    var memories: [String] {
        mixers.reduce(into: []) { names, name in
            if name != SoftmaxAttention.name, !names.contains(name) { names.append(name) }
        }
    }

    /// Reads `text` for a model with so many layers.
    /// - Throws: ``ConversionError/option(name:expected:found:)``.
    init(_ text: String, layers: Int) throws {
        guard text.contains("=") else {
            mixers = .init(repeating: try Self.known(text), count: layers)
            return
        }
        var assigned = [String?](repeating: nil, count: layers)
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false).map {
                String($0.trimmingPrefix { $0 == " " })
            }
            guard sides.count == 2, let range = Self.range(sides[0]) else {
                throw Self.refusal("layers and their mixers, such as 0-9=gsa,10=attention", "'\(part)'")
            }
            let name = try Self.known(sides[1])
            guard range.upperBound < layers else {
                throw Self.refusal("layers from 0 to \(layers - 1)", "\(range.upperBound) in '\(part)'")
            }
            if let layer = range.first(where: { assigned[$0] != nil }) {
                throw Self.refusal("every layer at most once", "layer \(layer) again in '\(part)'")
            }
            for layer in range { assigned[layer] = name }
        }
        mixers = assigned.map { $0 ?? ConversionOptions.defaultMixer }
    }

    /// "10" or "0-9".
    private static func range(_ text: String) -> ClosedRange<Int>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first <= last else {
            return nil
        }
        return first...last
    }

    private static func known(_ name: String) throws -> String {
        let names = MixerRegistry.all.map { $0.name }
        guard names.contains(name) else {
            throw refusal(
                names.map { "'\($0)'" }.joined(separator: " or "), "'\(name)'" + Suggestion.hint(name, among: names))
        }
        return name
    }

    private static func refusal(_ expected: String, _ found: String) -> ConversionError {
        .option(name: "mixer", expected: expected, found: found)
    }
}
