import Tensors

/// Gradients of the trained parameters, on their way to the optimiser.
extension TrainableModel {
    /// Takes the gradients that have arrived, by name.
    func takeGradients() throws -> [String: Tensor] {
        var gradients: [String: Tensor] = [:]
        for name in trained { gradients[name] = try master(name).variable?.takeGradient() }
        return gradients
    }

    /// Takes the gradients that have arrived at all ranks and adds them up; of shared parameters each rank has the sum of its part. A
    /// gradient that some ranks have not, since nothing of theirs depends on the parameter, is zeros there; one that nobody has is
    /// left out.
    func takeSummedGradients() throws -> [String: Tensor] {
        var own = try takeGradients()
        guard !team.isAlone else { return own }
        let holders = try team.sum(trained.map { own[$0] == nil ? 0 : 1 })
        let names = zip(trained, holders).filter { $1 > 0 }.map(\.0)
        // Sums are made in place where nobody else holds the tensors.
        func take(_ names: [String]) throws -> [Tensor] {
            try names.map { try own.removeValue(forKey: $0) ?? .zeros(master($0).shape, on: device) }
        }
        let shared = try names.filter { try master($0).part != nil }
        var parts = try shared.map { try master($0).emptyPart() }
        try team.communicator.reduceScatter(take(shared), into: &parts)
        let others = names.filter { !shared.contains($0) }
        var sums = try take(others)
        try team.communicator.sum(&sums)
        try team.communicator.join()
        return Dictionary(uniqueKeysWithValues: zip(shared + others, parts + sums))
    }

    /// Gradients of zeros in the memory of the last ones, where recorded steps add to them. Those of shared parameters are made anew
    /// each time.
    func clearGradients(_ gradients: some Sequence<(String, Tensor)>) throws {
        for (name, gradient) in gradients {
            let master = try master(name)
            guard master.part == nil else { continue }
            try gradient.clear()
            master.variable?.begin(with: gradient, staysInPlace: true)
        }
    }

    /// Gives every rank the parts of `names` that the others have updated.
    func handOutParts(of names: [String]) throws {
        let masters = try names.map(master).filter { $0.part != nil }
        guard !masters.isEmpty else { return }
        let parts = try masters.map { try $0.updatedPart() }
        var weights = masters.map(\.weight)
        // On the host the weights are made anew.
        if !device.traits.recordsWork { for master in masters { master.copy = nil } }
        try team.communicator.allGather(parts, into: &weights)
        try team.communicator.join()
        for (master, weight) in zip(masters, weights) { master.copy = weight }
    }
}
