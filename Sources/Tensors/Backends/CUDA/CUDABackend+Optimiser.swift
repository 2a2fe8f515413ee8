import Foundation

/// The tables of device addresses that the optimiser's kernels read. They are made anew when an address changes.
struct OptimiserTables: Sendable {
    /// Elements of a chunk.
    static let chunk = 65536

    let key: [UInt64]
    let tensors: Tensor
    let chunks: Tensor
    let parts: Tensor

    init(_ parameters: [AdamWParameter], on place: Device) throws {
        key = Self.key(parameters)
        var (words, places): ([UInt64], [Int32]) = ([], [])
        for (index, parameter) in parameters.enumerated() {
            words += [parameter.value, parameter.gradient, parameter.first, parameter.second].map(\.deviceAddress)
            words += [parameter.copy?.deviceAddress ?? 0, UInt64(parameter.value.count)]
            words.append(
                UInt64(parameter.rateScale.bitPattern) | UInt64(parameter.weightDecay.bitPattern) << 32)
            words.append(parameter.counts ? 1 : 0)
            for part in 0..<(parameter.value.count + Self.chunk - 1) / Self.chunk {
                places += [Int32(index), Int32(part)]
            }
        }
        tensors = try Tensor(words.map { Int64(bitPattern: $0) }, shape: [words.count]).to(place)
        chunks = try Tensor(places, shape: [places.count / 2, 2]).to(place)
        parts = try .empty([places.count / 2], .float32, on: place)
    }

    static func key(_ parameters: [AdamWParameter]) -> [UInt64] {
        parameters.flatMap { parameter in
            [parameter.value, parameter.gradient, parameter.first, parameter.second, parameter.copy].map {
                $0?.deviceAddress ?? 0
            } + [UInt64(parameter.rateScale.bitPattern) | UInt64(parameter.weightDecay.bitPattern) << 32]
        }
    }
}

extension CUDABackend {
    /// All parameters at once, in place even where a tensor has other owners: addresses stay the same for recorded steps.
    public func adamW(_ parameters: inout [AdamWParameter], _ settings: AdamWSettings) throws -> AdamWOutcome {
        let tables = try optimiserTables.withLock { known in
            if let known, known.key == OptimiserTables.key(parameters) { return known }
            let tables = try OptimiserTables(parameters, on: place)
            known = tables
            return tables
        }
        let input = try settings.input ?? optimiserInput(settings)
        let loss = try settings.loss ?? zeros([])
        let outcome = try empty([3], .float32)
        let blocks = tables.chunks.shape[0]
        try device.launch(
            "optimiser.cu", "gradient_squares", grid: (blocks, 1, 1),
            [.tensor(tables.tensors), .tensor(tables.chunks), .tensor(tables.parts)])
        let squares = try settings.uniting.map { unite in
            let own = try empty([], .float32)
            try device.launch(
                "optimiser.cu", "gradient_sum", grid: (1, 1, 1), block: (1024, 1),
                [.tensor(tables.tensors), .tensor(tables.chunks), .tensor(tables.parts), .int(blocks), .tensor(own)])
            return try unite(own)
        }
        try device.launch(
            "optimiser.cu", "gradient_norm", grid: (1, 1, 1), block: (1024, 1),
            [
                .tensor(tables.parts), .tensor(tables.chunks), .int(blocks), .tensor(squares), .tensor(input),
                .tensor(outcome),
            ])
        try device.launch(
            "optimiser.cu", "adam_w", grid: (blocks, 1, 1),
            [
                .tensor(tables.tensors), .tensor(tables.chunks), .tensor(input), .tensor(outcome), .tensor(loss),
                .float(settings.beta1), .float(settings.beta2), .float(settings.epsilon),
            ])
        return AdamWOutcome {
            let values = try outcome.array(Float.self)
            let unfinite = Int32(bitPattern: values[2].bitPattern)
            return (Double(values[0]), unfinite < 0 ? nil : Int(unfinite))
        }
    }

    /// The numbers of a step as the kernels read them: learning rate, 1 - beta1ᵗ, 1 - beta2ᵗ, clip, scale.
    private func optimiserInput(_ settings: AdamWSettings) throws -> Tensor {
        try Tensor(settings.deviceRates, shape: [5]).to(place)
    }
}

extension AdamWSettings {
    /// What ``input`` is to hold for ``rates``.
    public var deviceRates: [Float] {
        func correction(_ beta: Float) -> Float { Float(1 - pow(Double(beta), Double(rates.step))) }
        return [
            Float(rates.learningRate), correction(beta1), correction(beta2), Float(rates.clip ?? 0),
            Float(rates.gradientScale),
        ]
    }
}
