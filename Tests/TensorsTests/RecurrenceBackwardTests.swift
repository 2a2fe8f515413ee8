import CKernels
import Tensors
import Testing

extension KernelTests {
    /// Gradients of recurrences against the chain rule in float64, and that against finite differences.
    @Suite struct RecurrenceBackwardTests {
        typealias Case = RecurrenceTests.Case
        typealias Inputs = RecurrenceTests.Inputs
        typealias Rule = RecurrenceTests.Rule

        /// Gradients of a case's outputs and of its final state.
        static func incoming(_ test: Case) throws -> (gradient: Tensor, final: Tensor) {
            var random = Random(41)
            return try (
                random.tensor([test.batch, test.tokens, test.heads, test.valueDim]),
                random.tensor([test.batch, test.keyHeads, test.keyDim, test.valueDim])
            )
        }

        static func found(_ inputs: Inputs, _ gradient: Tensor, _ final: Tensor?) throws -> [Tensor] {
            let found = try gradient.recurrenceBackward(
                inputs.recurrence, initial: inputs.state, finalGradient: final)
            return [found.q, found.k, found.v, found.logDecays] + (found.betas.map { [$0] } ?? [])
                + (found.rankOne.map { [$0.reads, $0.writes] } ?? []) + [try #require(found.initial)]
        }

        static func oracle(_ inputs: Inputs, _ gradient: Tensor, _ final: Tensor?) throws -> [(String, [Double])] {
            try Oracle.recurrenceBackward(
                gradient, inputs.recurrence, state: inputs.state, finalGradient: final, documents: inputs.documents)
        }

        @Test(arguments: RecurrenceTests.cases, Rule.allCases)
        func isTheChainRule(_ test: Case, _ rule: Rule) throws {
            let inputs = try test.inputs(rule)
            let incoming = try Self.incoming(test)
            for final in [nil, incoming.final] {
                let expected = try Self.oracle(inputs, incoming.gradient, final)
                try withEveryKernel { choice in
                    let gradients = try Self.found(inputs, incoming.gradient, final)
                    #expect(gradients.map(\.shape) == Self.arguments(inputs).map { inputs[keyPath: $0].shape })
                    for (found, (name, expected)) in zip(gradients, expected) {
                        try expectCloseInScale(doubles(found), expected, 1e-5, "\(name), \(choice)")
                    }
                }
            }
        }

        /// The inputs that have gradients, in their order.
        static func arguments(_ inputs: Inputs) -> [WritableKeyPath<Inputs, Tensor>] {
            [\.recurrence.q, \.recurrence.k, \.recurrence.v, \.recurrence.logDecays]
                + (inputs.recurrence.betas == nil ? [] : [\.givenBetas])
                + (inputs.recurrence.rankOne == nil ? [] : [\.givenRankOne.reads, \.givenRankOne.writes]) + [\.state]
        }

        @Test(
            arguments: [
                Case(batch: 2, tokens: 5, heads: 4, keyHeads: 2, keyDim: 3, valueDim: 4),
                Case(tokens: 7, heads: 3, keyHeads: 1, keyDim: 4, valueDim: 3, documents: [0, 2, 3]),
                Case(tokens: 6, heads: 2, keyHeads: 1, keyDim: 2, valueDim: 2, decays: .between(1e-3, 8)),
            ], Rule.allCases)
        func chainRuleIsFiniteDifferences(_ test: Case, _ rule: Rule) throws {
            let inputs = try test.inputs(rule)
            let incoming = try Self.incoming(test)
            let weights = try doubles(incoming.gradient) + doubles(incoming.final)
            let expected = try Self.oracle(inputs, incoming.gradient, incoming.final)
            for (path, (name, gradient)) in zip(Self.arguments(inputs), expected) {
                let differences = try Oracle.differences(of: inputs[keyPath: path]) { moved in
                    var inputs = inputs
                    inputs[keyPath: path] = moved
                    let results = try inputs.oracle()
                    return zip(weights, results.out + results.state).reduce(0) { $0 + $1.0 * $1.1 }
                }
                expectCloseInScale(gradient, differences, 1e-5, name)
            }
        }

        @Test(arguments: [
            Case(batch: 2, tokens: 150, heads: 9, keyHeads: 3, keyDim: 24, valueDim: 20),
            Case(tokens: 300, heads: 3, keyHeads: 1, keyDim: 8, valueDim: 12, documents: [0, 70, 240]),
        ])
        func threadsChangeNothing(_ test: Case) throws {
            let incoming = try Self.incoming(test)
            for rule in Rule.allCases {
                let inputs = try test.inputs(rule)
                let results = try [1, 2].map { threads in
                    var arrays: [[Float]] = []
                    try KernelChoice(set: String(cString: moult_kernels_name()), threads: threads, oneDNN: true).run {
                        arrays = try Self.found(inputs, incoming.gradient, incoming.final).map { try $0.array() }
                    }
                    return arrays
                }
                #expect(results[0] == results[1], "\(rule)")
            }
        }

        @Test func oracleIsFlashLinearAttention() throws {
            for (index, test) in try fixture("recurrences", of: RecurrenceFixture.self).enumerated() {
                let inputs = try test.inputs
                let (gradient, final) = try (test.gradient.tensor, test.finalGradient.tensor)
                let expected = try test.gradients.map { try doubles($0.tensor) }
                let oracle = try Self.oracle(inputs, gradient, final)
                #expect(oracle.count == expected.count)
                for (found, expected) in zip(oracle, expected) {
                    expectCloseInScale(found.1, expected, 1e-5, "oracle's \(found.0), case \(index)")
                }
                try withEveryKernel { choice in
                    for ((name, _), (found, expected)) in zip(
                        oracle, zip(try Self.found(inputs, gradient, final), expected))
                    {
                        try expectCloseInScale(doubles(found), expected, 1e-5, "\(name), case \(index), \(choice)")
                    }
                }
            }
        }

        @Test("without tokens the gradient of the final state is that of the initial one")
        func noTokens() throws {
            let test = Case(tokens: 0)
            let incoming = try Self.incoming(test)
            for rule in Rule.allCases {
                let found = try Self.found(test.inputs(rule), incoming.gradient, incoming.final)
                #expect(try found.last?.array(Float.self) == incoming.final.array(Float.self))
            }
        }
    }
}

extension KernelTests.RecurrenceTests.Inputs {
    /// The betas of a rule that has some.
    fileprivate var givenBetas: Tensor {
        get { recurrence.betas ?? recurrence.logDecays }
        set { recurrence.betas = newValue }
    }

    /// The part of rank one of a rule that has some.
    fileprivate var givenRankOne: Recurrence.RankOne {
        get { recurrence.rankOne ?? .init(reads: recurrence.k, writes: recurrence.k) }
        set { recurrence.rankOne = newValue }
    }
}
