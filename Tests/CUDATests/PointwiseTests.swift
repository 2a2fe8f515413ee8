import Foundation
import Tensors
import Testing

extension CUDATests {
    @Suite("Expressions and short convolutions on a GPU, and their gradients") struct PointwiseTests {
        /// Every function there is.
        private func everything(_ x: Pointwise) -> Pointwise {
            let gates: Pointwise = .logSigmoid(x) + .softplus(x * 0.5) * .gelu(x) - .silu(x) / 3
            let limits: Pointwise = .max(x, 0.5) * .min(x, 1) + .relu(x - 0.25) * .tanh(x) - .sigmoid(-x)
            let roots: Pointwise = .rsqrt(.squared(x) + 1) * .sqrt(.exp(x)) + .log(.squared(x) + 0.5)
            return gates + limits + roots * .geluTanh(1 - x) - 2 / (.squared(x) + 3) + x / (x * x + 2)
        }

        @Test func functions() throws {
            for count in [1, 7, 8, 2049, 5003] {
                try expectAgreement("\(count)", [.activation(count, scale: 3)]) {
                    [try Tensor.pointwise($0[0]) { everything($0) }]
                }
                try expectAgreement("float32, \(count)", [.parameter(count)], tolerance: 1e-5) {
                    [try Tensor.pointwise($0[0], as: .float32) { everything($0) }]
                }
            }
        }

        @Test("far from 0, at 0, and where there is no number")
        func extremes() throws {
            let values: [Float] = [0, -0, 1e4, -1e4, 0x1p-133, -0x1p-133, 88, -88, 104, -104, 17, -17, .nan]
            let functions: [(String, (Pointwise) -> Pointwise)] = [
                ("sigmoid", { .sigmoid($0) }), ("logSigmoid", { .logSigmoid($0) }), ("softplus", { .softplus($0) }),
                ("exp", { .exp($0) }), ("log", { .log($0) }), ("tanh", { .tanh($0) }), ("silu", { .silu($0) }),
                ("gelu", { .gelu($0) }), ("geluTanh", { .geluTanh($0) }), ("relu", { .relu($0) }),
                ("max", { .max($0, 0.5) }), ("min", { .min($0, 0.5) }), ("squared", { .squared($0) }),
                ("rsqrt", { .rsqrt($0) }),
            ]
            for (name, function) in functions {
                let (expected, found) = (
                    try slopes(values, on: .cpu, function), try slopes(values, on: .cuda, function)
                )
                for (expected, found) in zip(expected, found) {
                    for (index, (expected, found)) in zip(expected, found).enumerated() {
                        let isSame = expected.isNaN ? found.isNaN : found == expected
                        let isClose = abs(found - expected) <= 2e-6 * abs(expected) + 1e-38
                        #expect(isSame || isClose, "\(name) at \(values[index % values.count]): \(found), \(expected)")
                    }
                }
            }
        }

        /// The values of a function and its slopes.
        private func slopes(
            _ values: [Float], on device: Device, _ function: (Pointwise) -> Pointwise
        ) throws -> [[Float]] {
            let tape = GradientTape()
            let x = try tape.watch(Tensor(values, shape: [values.count]).to(device))
            let y = try Tensor.pointwise(x, as: .float32, function)
            let ones = try Tensor([Float](repeating: 1, count: values.count), shape: [values.count])
            try y.variable?.begin(with: ones.to(device))
            try tape.playBack()
            return try [y, #require(x.gradient)].map { try $0.to(.cpu).array() }
        }

        @Test("inputs that go along, and the sums that are their gradients")
        func broadcasts() throws {
            let cases: [([Int], [Int], [Int])] = [
                ([2, 3, 4, 5], [5], [2, 3, 4, 1]), ([2, 3, 4, 5], [4, 5], [4, 1]), ([2, 3, 4, 5], [], [2, 1, 1, 1]),
                ([70, 40], [40], [70, 1]), ([3, 2100], [2100], [3, 1]), ([300, 8], [8], [1]), ([1, 5], [5], [1]),
                ([2, 300, 2, 32], [2, 32], [2, 300, 2, 1]), ([2, 50, 600], [2, 50, 1], [2, 1, 1]),
                ([5, 1], [1, 6], [1, 1]),
            ]
            for (first, second, third) in cases {
                let activations = [first, second, third].map { Operand(kind: .activation, shape: $0) }
                let parameters = [first, second, third].map { Operand(kind: .parameter, shape: $0) }
                let mixed = [activations[0], parameters[1], activations[2]]
                for operands in [activations, mixed] {
                    try expectAgreement("\(first)", operands) {
                        [try Tensor.pointwise($0[0], $0[1], $0[2]) { x, y, z in x * .sigmoid(y) + z * .tanh(x * y) }]
                    }
                }
                try expectAgreement("float32, \(first)", parameters, tolerance: 1e-5) {
                    [
                        try Tensor.pointwise($0[0], $0[1], $0[2], as: .float32) { x, y, z in
                            x * .sigmoid(y) + z * .tanh(x * y)
                        }
                    ]
                }
                try expectAgreement("sums, \(first)", mixed) {
                    [try Tensor.pointwiseSums($0) { $0[0] * .sigmoid($0[1]) + $0[2] * .tanh($0[0] * $0[1]) }]
                }
                try expectAgreement("sums in float32, \(first)", parameters, tolerance: 1e-5) {
                    [try Tensor.pointwiseSums($0, as: .float32) { $0[0] * $0[1] - $0[2] }]
                }
            }
        }

        @Test("rows of a tensor that begin anywhere")
        func views() throws {
            try expectAgreement("views", [.activation(5, 3), .activation(2, 3), .activation(3)]) {
                [try Tensor.pointwise($0[0].detached.rows(1..<3), $0[1], $0[2]) { $0 * $1 + $2 }]
            }
        }

        @Test("no elements are no work")
        func empty() throws {
            let weight = try Tensor([1, 2, 3] as [Float], shape: [3]).to(.cuda)
            #expect(try Tensor.pointwise(.zeros([0, 3], on: .cuda), weight) { $0 * $1 }.shape == [0, 3])
            #expect(
                try Tensor.pointwiseSums([.zeros([2, 0], on: .cuda)], as: .float32) { $0[0] }.to(.cpu).array() == [
                    0, 0,
                ] as [Float])
        }

        @Test("recorded work computes with what stands in its memory then, and with its own constants")
        func recorded() throws {
            let x = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]).to(.cuda)
            var results: [Tensor] = []
            // Compiled before anything is recorded, as all kernels are by a first run.
            func body() throws {
                results = try [2, 5].map { factor in try Tensor.pointwise(x, as: .float32) { factor * $0 } }
                results.append(try Tensor.pointwiseSums([x], as: .float32) { $0[0] })
            }
            try body()
            let work = try Device.cuda.record(body)
            try x.overwrite([5, 6, 7, 8] as [Float])
            try work.run()
            #expect(
                try results.map { try $0.to(.cpu).array(Float.self) } == [
                    [10, 12, 14, 16], [25, 30, 35, 40], [11, 15],
                ])
        }

        @Test("a gated norm per head is a norm and an expression")
        func gatedNorm() throws {
            try expectAgreement(
                "gated norm", [.activation(2, 3, 2, 40), .activation(2, 3, 2, 40), .parameter(40)]
            ) { [try Tensor.pointwise($0[0].rmsNorm(weight: $0[2], epsilon: 1e-5), $0[1]) { $0 * .silu($1) }] }
        }

        @Test func l2Normed() throws {
            for shape in [[1, 1], [3, 7], [2, 5, 3, 64], [30, 300], [3, 2100]] {
                try expectAgreement("\(shape)", [Operand(kind: .activation, shape: shape, scale: 3)]) {
                    [try $0[0].l2Normed(epsilon: 1e-6)]
                }
            }
        }

        @Test func shortConvolution() throws {
            let cases: [(Int, Int, Int, Int, Documents?)] = [
                (2, 5, 3, 4, nil), (1, 9, 17, 4, [0, 2, 7]), (2, 2, 5, 4, nil), (2, 70, 19, 2, nil),
                (1, 3, 4, 4, [0, 2]), (1, 100, 264, 4, [0, 1, 17, 18, 33, 90]), (2, 40, 300, 3, nil),
                (1, 33, 8, 5, nil), (1, 20, 4, 16, [0, 4]), (1, 70, 1100, 4, nil),
            ]
            for (batch, tokens, dim, width, documents) in cases {
                let operands: [Operand] = [
                    .activation(batch, tokens, dim), .parameter(dim, width), .parameter(dim),
                    .activation(batch, width - 1, dim),
                ]
                let activations: [Activation?] = dim == 17 ? [nil, .silu, .gelu, .geluTanh] : [nil, .silu]
                for activation in activations {
                    try expectAgreement(
                        "\(batch) \(tokens) \(dim) \(width) \(String(describing: activation))", operands
                    ) {
                        var state = $0[3]
                        let result = try $0[0].shortConvolution(
                            weight: $0[1], bias: $0[2], activation: activation, state: &state, documents: documents)
                        return [result, state]
                    }
                }
                try expectAgreement(
                    "with nothing before, \(batch) \(tokens) \(dim) \(width)", Array(operands.prefix(2))
                ) {
                    [try $0[0].shortConvolution(weight: $0[1], documents: documents)]
                }
            }
            try expectAgreement("of one token", [.activation(2, 5, 3), .parameter(3, 1)]) {
                [try $0[0].shortConvolution(weight: $0[1], activation: .silu)]
            }
        }

        @Test("documents of rows side by side, and single tokens")
        func rowsAndSteps() throws {
            let first = try Tensor([0, 0, 2, 2, 2, 2, 0, 0, 0, 0, 4, 4] as [Int32], shape: [2, 6])
            try expectAgreement("rows", [.activation(2, 6, 5), .parameter(5, 4), .activation(2, 3, 5)]) {
                var state = $0[2]
                let documents = Documents(firstPositions: try first.to($0[0].device))
                return [try $0[0].shortConvolution(weight: $0[1], state: &state, documents: documents), state]
            }
            var random = Random(9)
            let x = try random.tensor([2, 9, 8]).converted(to: .bfloat16).to(.cuda)
            let weight = try random.tensor([8, 4]).to(.cuda)
            var state = try Tensor.zeros([2, 3, 8], .bfloat16, on: .cuda)
            let whole = try x.shortConvolution(weight: weight, activation: .silu).to(.cpu)
            for token in 0..<9 {
                let step = try x.stretch(from: token, count: 1).shortConvolution(
                    weight: weight, activation: .silu, state: &state)
                let expected = try doubles(whole.converted(to: .float32).stretch(from: token, count: 1))
                #expect(try doubles(step) == expected, "\(token)")
            }
        }

        @Test("tensors of the wrong kind, and elsewhere, are one error")
        func refusals() throws {
            let (x, y) = (try Tensor.zeros([2], on: .cuda), try Tensor.zeros([2]))
            #expect(throws: TensorError.devices(operation: "pointwise", expected: .cuda, found: .cpu)) {
                _ = try Tensor.pointwise(x, y) { $0 + $1 }
            }
            #expect(
                throws: TensorError.dtype(
                    operation: "pointwise", argument: "type", expected: "float32 or bfloat16", found: .float16)
            ) { _ = try Tensor.pointwise(x, as: .float16) { -$0 } }
        }
    }
}
