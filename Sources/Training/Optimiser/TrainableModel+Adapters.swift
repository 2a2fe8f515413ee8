import Models
import Tensors

/// Low-rank adapters: trained parameters like any other while their stage lasts, of which nothing is left when it ends.
extension TrainableModel {
    /// Trains what `phase` does from now on. Its adapters are made anew: their values depend on `seed` and their names
    /// alone.
    func begin(_ phase: TrainingPhase, seed: Int) throws {
        dropAdapters()
        adapters = phase.stage.adapters(rules, configuration: configuration)
        for rule in adapters {
            guard case .initialised(let initialiser) = rule.origin else { continue }
            let values = try initialiser.make(name: rule.name, shape: rule.shape, seed: UInt64(seed))
            weights[rule.name] = try values.converted(to: device.traits.weightType(of: .float32)).to(device)
        }
        try train(phase.trained(rules, configuration: configuration))
    }

    /// Ends a stage: adapters become part of their matrices, and the optimiser's means are gone.
    func endStage() throws {
        for rule in rules {
            if let value = try adapted(rule.name) { try replace(rule.name, by: value) }
        }
        dropAdapters()
        try train([])
    }

    private func dropAdapters() {
        for rule in adapters { (weights[rule.name], masters[rule.name]) = (nil, nil) }
        adapters = []
    }

    /// The names of A and B of the adapter that stands beside the weight `name`, if one does.
    func adapter(beside name: String) -> (down: String, up: String)? {
        guard !adapters.isEmpty else { return nil }
        let names = LowRankAdapter.names(of: LowRankAdapter.map(ofWeight: name))
        return masters[names.down] == nil && weights[names.down] == nil ? nil : names
    }

    /// W + B A, float32 on the host, of the weight `name`: of all ranks; nil where no adapter stands beside it.
    func adapted(_ name: String) throws -> Tensor? {
        guard let names = adapter(beside: name) else { return nil }
        func value(_ name: String) throws -> Tensor? {
            try masters[name].map(whole) ?? weights[name]?.to(.cpu).converted(to: .float32)
        }
        guard let down = try value(names.down), let up = try value(names.up),
            let weight = try value(name)
        else { return nil }
        // The gradient of an input is a product with a matrix as it stands, not transposed: (O, r) · (r, I).
        return try weight.adding(Device.cpu.gradientBackend.linearBackward([up], weights: [down]))
    }

    /// Sets the parameter `name` to float32 `value`. No master is made for it, which would take twice the memory of the
    /// weight.
    func replace(_ name: String, by value: Tensor) throws {
        guard masters[name] == nil, let weight = weights[name] else { return try restore(name, value: value) }
        weights[name] = try value.converted(to: weight.dtype).to(device)
        replaced.insert(name)
    }

    /// Parameters without a master that are not as the model's files have them.
    var replacedWeights: [(name: String, tensor: Tensor)] {
        rules.compactMap { rule in
            guard replaced.contains(rule.name) else { return nil }
            return weights[rule.name].map { (rule.name, $0) }
        }
    }
}
