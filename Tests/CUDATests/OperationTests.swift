import Foundation
import Tensors
import Testing

extension CUDATests {
    @Suite("Operations on a GPU and their gradients") struct OperationTests {
        @Test func linear() throws {
            for (rows, inputs, outputs) in [(1, 8, 8), (5, 24, 16), (33, 65, 40), (7, 16, 3)] {
                try expectAgreement(
                    "\(rows) \(inputs) \(outputs)", [.activation(rows, inputs), .weight(outputs, inputs)]
                ) {
                    [try $0[0].linear($0[1])]
                }
            }
            try expectAgreement(
                "several of one input",
                [.activation(2, 5, 24), .weight(16, 24), .parameter(16), .weight(8, 24), .weight(5, 24), .parameter(5)]
            ) { try $0[0].linear([$0[1], $0[3], $0[4]], biases: [$0[2], nil, $0[5]]) }
        }

        @Test func embedding() throws {
            for (count, rows, dim) in [(1, 3, 8), (70, 5, 65), (300, 1000, 40), (1100, 2, 16)] {
                let ids = (0..<count).map { Int32($0 * $0 * 7 % rows) }
                try expectAgreement("\(count) of \(rows) × \(dim)", [.weight(rows, dim)]) {
                    [try Tensor.embedding(ids, table: $0[0])]
                }
            }
        }

        @Test func rmsNorm() throws {
            for shape in [[1, 8], [3, 65], [5, 576], [1100, 40], [2, 2304]] {
                try expectAgreement("\(shape)", [.activation(shape[0], shape[1], scale: 3), .parameter(shape[1])]) {
                    [try $0[0].rmsNorm(weight: $0[1], epsilon: 1e-5)]
                }
            }
            for (tokens, heads, dim) in [(1, 1, 16), (5, 3, 20), (150, 4, 64), (9, 2, 128), (3, 1, 256)] {
                try expectAgreement("heads of \(dim)", [.activation(2, tokens, heads, dim, scale: 3), .parameter(dim)])
                {
                    [try $0[0].rmsNorm(weight: $0[1], epsilon: 1e-5)]
                }
            }
            try expectAgreement("beside a residual stream", [.activation(5, 40), .parameter(40)]) {
                [try $0[0].adding($0[0].rmsNorm(weight: $0[1], epsilon: 1e-5))]
            }
        }

        @Test func layerNorm() throws {
            for shape in [[1, 8], [3, 65], [70, 40], [5, 576], [1100, 257], [2, 2304]] {
                try expectAgreement(
                    "\(shape)", [.activation(shape[0], shape[1], scale: 3), .parameter(shape[1]), .parameter(shape[1])]
                ) { [try $0[0].layerNorm(weight: $0[1], bias: $0[2], epsilon: 1e-5)] }
            }
            for dim in [40, 600] {
                try expectAgreement("\(dim) beside a residual stream", [.activation(5, dim), .parameter(dim)]) {
                    [try $0[0].adding($0[0].layerNorm(weight: $0[1], epsilon: 1e-5))]
                }
            }
        }

        @Test func elementwise() throws {
            for count in [1, 7, 8, 2049, 5003] {
                try expectAgreement("add", [.activation(count), .activation(count)]) { [try $0[0].adding($0[1])] }
                try expectAgreement("scaled", [.activation(count)]) { [try $0[0].scaled(by: 5.5)] }
                for activation in Activation.allCases {
                    try expectAgreement("\(activation)", [.activation(count, scale: 6)]) {
                        [try $0[0].activated(activation)]
                    }
                    try expectAgreement("gated \(activation)", [.activation(count, scale: 6), .activation(count)]) {
                        [try Tensor.gated(activation, gate: $0[0], up: $0[1])]
                    }
                }
                try expectAgreement("logGate", [.activation(count, scale: 20)]) { [try $0[0].logGate(divisor: 8)] }
            }
        }

        @Test func mix() throws {
            for (tokens, heads, dim) in [(1, 1, 1), (5, 3, 17), (9, 2, 64), (3, 2, 300)] {
                try expectAgreement(
                    "\(tokens) \(heads) \(dim)",
                    [
                        .activation(2, tokens, heads, dim), .activation(2, tokens, heads, dim),
                        .activation(2, tokens, heads, scale: 4),
                    ]
                ) { [try Tensor.mix($0[0], $0[1], logits: $0[2])] }
            }
        }

        @Test func rope() throws {
            for (tokens, heads, dim, offset) in [(1, 1, 2, 0), (5, 3, 34, 4), (70, 2, 64, 3)] {
                try expectAgreement(
                    "\(tokens) \(heads) \(dim)",
                    [.activation(2, tokens, heads, dim), .constant(80, dim / 2), .constant(80, dim / 2)]
                ) { [try $0[0].rope(cosines: $0[1], sines: $0[2], offset: offset)] }
            }
            let documents: Documents = [0, 1, 7, 64]
            try expectAgreement(
                "documents", [.activation(1, 70, 3, 34), .constant(80, 17), .constant(80, 17)]
            ) { [try $0[0].rope(cosines: $0[1], sines: $0[2], offset: 4, documents: documents)] }
        }

        @Test func sums() throws {
            for count in [1, 1000, 70_001] {
                try expectAgreement("\(count)", [.constant(count)], tolerance: 1e-5) { [try $0[0].sum()] }
            }
        }

        @Test("gradients of a tensor that is used twice add up")
        func usedTwice() throws {
            try expectAgreement("weights and biases", [.activation(5, 16), .weight(16, 16), .parameter(16)]) {
                [try $0[0].linear($0[1], bias: $0[2]).activated(.silu).linear($0[1], bias: $0[2])]
            }
        }
    }
}
