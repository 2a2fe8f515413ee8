import Tensors
import Testing

extension CUDATests {
    @Suite("Losses on a GPU") struct LossTests {
        /// Rows, inputs and outputs: outputs that fill 16 bytes or not, and that a block's shared memory holds or not.
        private static let shapes = [(1, 8, 8), (33, 24, 520), (70, 16, 517), (2, 8, 102_408)]

        private func targets(_ rows: Int, _ outputs: Int) -> [Int32] {
            (0..<rows).map { Int32($0 % 4 == 2 ? -1 : $0 * 7919 % outputs) }
        }

        @Test func crossEntropy() throws {
            for (rows, inputs, outputs) in Self.shapes {
                try expectAgreement(
                    "\(rows) × \(outputs)", [.activation(rows, inputs), .weight(outputs, inputs)], tolerance: 0.02
                ) {
                    let targets = try Tensor(targets(rows, outputs), shape: [rows]).to($0[0].device)
                    let factor = try Tensor([Float(0.5)], shape: []).to($0[0].device)
                    return [try $0[0].crossEntropy(head: $0[1], targets: targets, scale: 8, factor: factor)]
                }
            }
        }

        @Test func klDivergence() throws {
            for (rows, inputs, outputs) in Self.shapes {
                try expectAgreement(
                    "\(rows) × \(outputs)",
                    [.activation(rows, inputs), .weight(outputs, inputs), .activation(rows, 16), .weight(outputs, 16)],
                    tolerance: 0.02
                ) { [try $0[0].klDivergence(head: $0[1], teacher: $0[2], teacherHead: $0[3], scale: 4)] }
            }
        }

        @Test("rows that weigh more or less, or nothing")
        func weights() throws {
            for (rows, inputs, outputs) in Self.shapes {
                try expectAgreement(
                    "\(rows) × \(outputs)",
                    [.activation(rows, inputs), .weight(outputs, inputs), .activation(rows, 16), .weight(outputs, 16)],
                    tolerance: 0.02
                ) {
                    let device = $0[0].device
                    let targets = try Tensor(targets(rows, outputs), shape: [rows]).to(device)
                    let weights = try Tensor((0..<rows).map { [Float(4), 1, 0, 0.5][$0 % 4] }, shape: [rows]).to(device)
                    let factor = try Tensor([Float(0.5)], shape: []).to(device)
                    return [
                        try $0[0].crossEntropy(
                            head: $0[1], targets: targets, scale: 8, factor: factor, weights: weights),
                        try $0[0].klDivergence(
                            head: $0[1], teacher: $0[2], teacherHead: $0[3], scale: 4, factor: factor, weights: weights),
                    ]
                }
            }
        }

        @Test("logits with a cap")
        func caps() throws {
            for (rows, inputs, outputs) in Self.shapes {
                try expectAgreement(
                    "\(rows) × \(outputs)",
                    [.activation(rows, inputs), .weight(outputs, inputs), .activation(rows, 16), .weight(outputs, 16)],
                    tolerance: 0.02
                ) {
                    let targets = try Tensor(targets(rows, outputs), shape: [rows]).to($0[0].device)
                    return [
                        try $0[0].crossEntropy(head: $0[1], targets: targets, scale: 8, cap: 2),
                        try $0[0].klDivergence(
                            head: $0[1], teacher: $0[2], teacherHead: $0[3], scale: 4, cap: 2, teacherCap: 3),
                        try $0[0].klDivergence(
                            head: $0[1], teacher: $0[2], teacherHead: $0[3], scale: 4, teacherCap: 3),
                    ]
                }
                var random = Random(6)
                let hidden = try random.tensor([rows, inputs])
                let head = try random.tensor([outputs, inputs]).converted(to: .bfloat16)
                let (x, there) = (try hidden.converted(to: .bfloat16).to(.cuda), try head.to(.cuda))
                try expectClose(
                    x.logits(head: there, cap: 2), hidden.logits(head: head, cap: 2), 0.01, "logits \(outputs)")
                let ids = targets(rows, outputs).map { max($0, 0) }
                try expectClose(
                    Tensor(x.negativeLogLikelihood(head: there, targets: ids, cap: 2), shape: [rows]),
                    Tensor(hidden.negativeLogLikelihood(head: head, targets: ids, cap: 2), shape: [rows]), 0.01,
                    "likelihood \(outputs)")
            }
        }

        @Test func negativeLogLikelihood() throws {
            var random = Random(5)
            for (rows, inputs, outputs) in Self.shapes {
                let hidden = try random.tensor([rows, inputs])
                let head = try random.tensor([outputs, inputs]).converted(to: .bfloat16)
                let targets = targets(rows, outputs).map { max($0, 0) }
                let expected = try hidden.negativeLogLikelihood(head: head, targets: targets)
                let found = try hidden.converted(to: .bfloat16).to(.cuda)
                    .negativeLogLikelihood(head: head.to(.cuda), targets: targets)
                try expectClose(
                    Tensor(found, shape: [rows]), Tensor(expected, shape: [rows]), 0.01, "\(rows) × \(outputs)")
            }
        }

        @Test func relativeSquaredError() throws {
            for count in [1, 77, 70_001] {
                try expectAgreement("\(count)", [.activation(count), .activation(count, scale: 3)]) {
                    [try $0[0].relativeSquaredError(to: $0[1])]
                }
            }
        }
    }
}
