import Tensors
import Testing

extension CUDATests {
    @Suite("Mixtures of experts on a GPU and their gradients") struct ExpertTests {
        @Test(arguments: [(1, 1, 1, true), (9, 4, 2, true), (20, 40, 8, false), (5, 3, 3, true)])
        func experts(_ rows: Int, _ count: Int, _ active: Int, _ isNormalised: Bool) throws {
            let (width, inner) = (24, 16)
            let weights = (0..<count).flatMap { _ -> [Operand] in
                [.weight(inner, width), .weight(inner, width), .weight(width, inner)]
            }
            try expectAgreement(
                "\(rows) rows, \(active) of \(count)",
                [.activation(rows, width, scale: 0.5), .activation(rows, count, scale: 8)] + weights, tolerance: 0.03
            ) { all in
                let weights = Array(all.dropFirst(2))
                let own = stride(from: 0, to: weights.count, by: 3).map {
                    Experts.Expert(gate: weights[$0], up: weights[$0 + 1], down: weights[$0 + 2])
                }
                return [
                    try all[0].experts(
                        Experts(own, active: active, isNormalised: isNormalised, activation: .silu), router: all[1])
                ]
            }
        }
    }
}
