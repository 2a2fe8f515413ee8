import Foundation
import Models

extension StageConfiguration {
    /// The parameters that the stage trains: of `align` the mixers' of `layers`, of the others all; less those frozen.
    func trained(_ rules: [ParameterRule], configuration: ModelConfiguration, layers: [Int]) -> Set<String> {
        var names = rules.map(\.name)
        if kind == .align {
            let prefixes = layers.map { configuration.names.mixer($0) + "." }
            names = names.filter { name in prefixes.contains { name.hasPrefix($0) } }
        }
        return Set(names.filter { name in !freeze.contains { fnmatch($0, name, 0) == 0 } })
    }

    /// Refuses a name in ``freeze`` that no parameter has.
    func checkFrozen(_ rules: [ParameterRule]) throws {
        for pattern in freeze where !rules.contains(where: { fnmatch(pattern, $0.name, 0) == 0 }) {
            throw TrainingError.option(
                name: "stage \(kind.rawValue): freeze",
                expected: "a name that 'moult inspect --tensors' shows, in which * stands for anything",
                found: "'\(pattern)'")
        }
    }
}

extension ModelConfiguration {
    /// The layers whose mixer replaces the Transformer's attention.
    var convertedLayers: [Int] { mixers.indices.filter { mixers[$0] != SoftmaxAttention.name } }
}
