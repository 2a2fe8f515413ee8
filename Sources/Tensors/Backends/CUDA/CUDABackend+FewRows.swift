/// Products of few rows, such as the tokens of a step: all weights that read them in one launch, with what stands around them.
extension CUDABackend {
    /// The most rows; of more cuBLAS's tensor cores make better use (8 on an H100: 4% slower by warps).
    private static let mostRows = 4
    /// Weights of one launch.
    private static let mostWeights = 6

    /// The instance of the kernels that takes the rows of x (..., I); nil for too many, or where memory does not begin at
    /// multiples of 16 bytes.
    private func fewRowsInstance(_ x: Tensor, _ norm: Normalisation?, _ weights: [Tensor]) -> (rows: Int, most: Int)? {
        guard let inputs = x.shape.last, inputs > 0, inputs % 8 == 0, !weights.isEmpty, x.dtype == .bfloat16 else {
            return nil
        }
        let rows = x.count / inputs
        guard (1...Self.mostRows).contains(rows), x.isVectorAligned, weights.allSatisfy(\.isVectorAligned),
            norm?.weight.isVectorAligned ?? true
        else { return nil }
        return (rows, [1, 2].first { rows <= $0 } ?? Self.mostRows)
    }

    func fewRows(
        _ x: Tensor, norm: Normalisation?, weights: [Tensor], biases: [Tensor?], addedTo sum: Tensor?
    ) throws -> [Tensor]? {
        guard let (rows, most) = fewRowsInstance(x, norm, weights) else { return nil }
        let inputs = x.count / rows
        let results = try weights.map { try empty(x.shape.dropLast() + [$0.shape[0]]) }
        for start in stride(from: 0, to: weights.count, by: Self.mostWeights) {
            let maps = start..<min(start + Self.mostWeights, weights.count)
            var arguments: [Argument] = [
                .tensor(x), .int(rows), .int(inputs), .tensor(norm?.weight), .float(norm?.epsilon ?? 0), .tensor(sum),
            ]
            for index in start..<start + Self.mostWeights {
                arguments +=
                    maps.contains(index)
                    ? [
                        .tensor(weights[index]), .tensor(biases[index]), .tensor(results[index]),
                        .int(weights[index].shape[0]),
                    ] : [.tensor(nil), .tensor(nil), .tensor(nil), .int(0)]
            }
            let outputs = maps.reduce(0) { $0 + weights[$1].shape[0] }
            try device.launch(
                "few_rows.cu", "few_rows<\(most),\(norm != nil)>", grid: ((outputs + 7) / 8, 1, 1), block: (32, 8),
                arguments)
        }
        return results
    }

    func fewRowsGated(
        _ x: Tensor, norm: Normalisation?, _ activation: Activation, gate: (weight: Tensor, bias: Tensor?),
        up: (weight: Tensor, bias: Tensor?)
    ) throws -> Tensor? {
        guard let (rows, most) = fewRowsInstance(x, norm, [gate.weight, up.weight]) else { return nil }
        let outputs = gate.weight.shape[0], result = try empty(x.shape.dropLast() + [outputs])
        try device.launch(
            "few_rows.cu", "few_rows_gated<\(most),\(norm != nil),\(activation.cudaName)>",
            grid: ((outputs + 7) / 8, 1, 1), block: (32, 8),
            [
                .tensor(x), .int(rows), .int(x.count / rows), .tensor(norm?.weight), .float(norm?.epsilon ?? 0),
                .tensor(gate.weight), .tensor(gate.bias), .tensor(up.weight), .tensor(up.bias), .tensor(result),
                .int(outputs),
            ])
        return result
    }
}
