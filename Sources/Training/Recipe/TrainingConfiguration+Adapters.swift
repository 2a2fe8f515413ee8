extension TrainingConfiguration {
    /// Gives stages `distil` and `finetune` adapters; what is nil or empty stays as it is.
    /// - Throws: ``TrainingError/option(name:expected:found:)`` for numbers that none can have, and where there is
    ///   no such stage, or none has a rank.
    public mutating func adapt(rank: Int?, alpha: Double?, targets: [String]) throws {
        func refusal(_ name: String, _ expected: String, _ found: String) -> TrainingError {
            .option(name: name, expected: expected, found: found)
        }
        let (ranks, alphas) = (LowRankSettings.ranks, LowRankSettings.alphas)
        if let rank, !ranks.contains(rank) {
            throw refusal("loraRank", "\(ranks.lowerBound) to \(ranks.upperBound)", "\(rank)")
        }
        if let alpha, !alphas.contains(alpha) {
            throw refusal("loraAlpha", "\(alphas.lowerBound) to \(alphas.upperBound)", "\(alpha)")
        }
        let given =
            rank.map { ("loraRank", "\($0)") } ?? alpha.map { ("loraAlpha", "\($0)") }
            ?? targets.first.map { ("loraTargets", "'\($0)'") }
        guard let given, !stages.isEmpty else { return }
        let places = stages.indices.filter { [.distil, .finetune].contains(stages[$0].kind) }
        guard !places.isEmpty else {
            throw refusal(
                given.0, "a stage distil or finetune, which alone have adapters",
                stages.map(\.kind.rawValue).joined(separator: ", "))
        }
        for place in places {
            if let rank { stages[place].lowRank.rank = rank }
            if let alpha { stages[place].lowRank.alpha = alpha }
            if !targets.isEmpty { stages[place].lowRank.targets = targets }
        }
        let other = alpha.map { ("loraAlpha", "\($0)") } ?? targets.first.map { ("loraTargets", "'\($0)'") }
        guard let (name, found) = other, places.allSatisfy({ stages[$0].lowRank.rank == 0 }) else { return }
        throw refusal(name, "a rank of the adapters with it (loraRank)", found)
    }
}
