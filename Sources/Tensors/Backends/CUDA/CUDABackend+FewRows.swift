/// Products of few rows, such as the tokens of a step: all weights that read them in one launch.
extension CUDABackend {
    /// The most rows; of more cuBLAS's tensor cores make better use (8 on an H100: 4% slower by warps).
    private static let mostRows = 4
    /// Weights of one launch.
    private static let mostWeights = 6

    /// ``linear(_:weights:biases:)`` of few rows; nil where that does not serve.
    func fewRows(_ x: Tensor, weights: [Tensor], biases: [Tensor?]) throws -> [Tensor]? {
        guard let inputs = x.shape.last, inputs > 0, inputs % 8 == 0, !weights.isEmpty, x.dtype == .bfloat16 else {
            return nil
        }
        let rows = x.count / inputs
        guard (1...Self.mostRows).contains(rows), x.isVectorAligned, weights.allSatisfy(\.isVectorAligned) else {
            return nil
        }
        let results = try weights.map { try empty(x.shape.dropLast() + [$0.shape[0]]) }
        let most = [1, 2].first { rows <= $0 } ?? Self.mostRows
        for start in stride(from: 0, to: weights.count, by: Self.mostWeights) {
            let maps = start..<min(start + Self.mostWeights, weights.count)
            var arguments: [CUDADevice.Argument] = [.tensor(x), .int(rows), .int(inputs)]
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
                "few_rows.cu", "few_rows<\(most)>", grid: ((outputs + 7) / 8, 1, 1), block: (32, 8), arguments)
        }
        return results
    }
}
