import Models

extension StageConfiguration {
    /// The parameters that the stage trains: of `align` the mixers' of `layers`, of the others all, or with adapters
    /// these and what conversion made; less those frozen.
    func trained(_ rules: [ParameterRule], configuration: ModelConfiguration, layers: [Int]) -> Set<String> {
        let adapters = adapters(rules, configuration: configuration)
        var names = (lowRank.rank > 0 ? rules.filter(TrainableModel.isNew) + adapters : rules).map(\.name)
        if kind == .align {
            let prefixes = layers.map { configuration.names.mixer($0) + "." }
            names = names.filter { name in prefixes.contains { name.hasPrefix($0) } }
        }
        return Set(names.filter { !freeze.match($0) })
    }

    /// The adapters that the stage trains, A and B of each map in turn: of those that ``LowRankSettings/targets`` name,
    /// less the maps whose weights are frozen.
    func adapters(_ rules: [ParameterRule], configuration: ModelConfiguration) -> [ParameterRule] {
        guard lowRank.rank > 0 else { return [] }
        return LowRankAdapter.maps(rules, of: configuration)
            .filter { lowRank.targets($0.name) && !freeze.match($0.name) }
            .flatMap(lowRank.parameters)
    }

    /// The learning rate of the parameter `name` relative to that of a step, an adapter's by that of its matrix.
    /// - Parameters:
    ///   - isNew: whether conversion made the parameter.
    ///   - scales: the rates of matrices; nil where they are all alike.
    func rate(of name: String, isNew: Bool, scales: RateScales?) -> Double {
        guard let part = LowRankAdapter.part(name) else {
            return (isNew ? newParameterRate : 1) * (scales?[name] ?? 1)
        }
        return lowRank.rate(isUp: part.isUp) * (scales?["\(part.map).weight"] ?? 1)
    }

    /// Refuses a name in ``freeze`` that no parameter has.
    func checkFrozen(_ rules: [ParameterRule]) throws {
        for pattern in freeze where !rules.contains(where: { [pattern].match($0.name) }) {
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
