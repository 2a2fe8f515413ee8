import CKernels
import Foundation
import Tensors
import Testing

extension KernelTests {
    /// Every form of the gated linear recurrence and the gated delta rule against their definition in float64, and that
    /// against flash-linear-attention.
    @Suite struct RecurrenceTests {
        static let forms = [
            ("automatic", moult_recurrence_automatic), ("stepwise", moult_recurrence_stepwise),
            ("blocked", moult_recurrence_blocked),
        ]

        /// What is computed, with a decay per head or per channel.
        enum Rule: CaseIterable, Sendable {
            case linearHeads, linearChannels, deltaHeads, deltaChannels, general
            var isDelta: Bool { self == .deltaHeads || self == .deltaChannels }
            var hasChannels: Bool { self != .linearHeads && self != .deltaHeads }
        }

        /// Log decays of a test.
        enum Decays: Sendable {
            /// -exp(uniform) between two sizes, with some exactly 0, some -30 and some -10,000.
            case between(Float, Float)
            case constant(Float)
        }

        struct Case: Sendable, CustomStringConvertible {
            var batch = 1
            var tokens: Int
            var heads = 3
            var keyHeads = 3
            var keyDim = 16
            var valueDim = 16
            var decays = Decays.between(1e-3, 1)
            var documents: [Int]?

            var description: String {
                "B \(batch) T \(tokens) H \(heads) N \(keyHeads) K \(keyDim) V \(valueDim) decays \(decays) "
                    + "documents \(documents ?? [])"
            }

            func inputs(_ rule: Rule) throws -> Inputs {
                var random = Random(37)
                let row = [batch, tokens, keyHeads]
                let width = rule.hasChannels ? keyDim : 1, rows = row.reduce(1, *)
                let logDecays: [Float] =
                    switch decays {
                    case .constant(let value): Array(repeating: value, count: rows * width)
                    case .between(let least, let most):
                        (0..<rows * width).map { index in
                            let decay = -least * pow(most / least, (random.float() + 1) / 2)
                            return index % 101 == 50 ? 0 : index % 53 == 20 ? -30 : index % 103 == 60 ? -1e4 : decay
                        }
                    }
                // Keys of a length of about 1, as a delta rule takes them.
                let keyScale = rule.isDelta ? (3 / Float(keyDim)).squareRoot() : 1
                // What is read of the state is taken out of it in part, channel by channel, so that states do not grow.
                func rankOne() throws -> Recurrence.RankOne {
                    let reads = try random.tensor(row + [keyDim], scale: (2 / Float(keyDim)).squareRoot())
                    let writes = zip(try reads.array(Float.self), random.floats(reads.count)).map {
                        -$0 * (0.5 + 0.4 * $1)
                    }
                    return .init(reads: reads, writes: try Tensor(writes, shape: reads.shape))
                }
                return try Inputs(
                    recurrence: Recurrence(
                        q: random.tensor([batch, tokens, heads, keyDim]),
                        k: random.tensor(row + [keyDim], scale: keyScale), v: random.tensor(row + [valueDim]),
                        logDecays: Tensor(logDecays, shape: row + [width]),
                        betas: rule.isDelta
                            ? Tensor(random.floats(rows).map { max(0, ($0 + 0.9) / 2) }, shape: row) : nil,
                        rankOne: rule == .general ? rankOne() : nil,
                        scale: 1 / Float(keyDim).squareRoot(), documents: documents.map(Documents.init(_:))),
                    state: random.tensor([batch, keyHeads, keyDim, valueDim]), documents: documents)
            }
        }

        struct Inputs {
            var recurrence: Recurrence
            var state: Tensor
            var documents: [Int]?

            func oracle() throws -> (out: [Double], state: [Double]) {
                try Oracle.recurrence(recurrence, state: state, documents: documents)
            }

            func run(_ form: moult_recurrence_form) throws -> (out: Tensor, state: Tensor) {
                var state = state
                return (try CPUBackend.shared.recurrence(recurrence, state: &state, form: form), state)
            }
        }

        static let cases = [
            // A token, fewer than a block, a block, several, and one more or less than these.
            Case(tokens: 1), Case(tokens: 2), Case(tokens: 7), Case(tokens: 8), Case(batch: 2, tokens: 15),
            Case(tokens: 16), Case(batch: 2, tokens: 17), Case(tokens: 63), Case(tokens: 64), Case(tokens: 65),
            Case(tokens: 200),
            // Shapes: odd, K ≠ V, groups, more columns than a thread takes at once.
            Case(batch: 2, tokens: 35, heads: 2, keyHeads: 2, keyDim: 5, valueDim: 7),
            Case(tokens: 35, heads: 3, keyHeads: 1, keyDim: 12, valueDim: 20),
            Case(tokens: 35, heads: 6, keyHeads: 2, keyDim: 20, valueDim: 12),
            Case(tokens: 35, heads: 5, keyHeads: 1, keyDim: 33, valueDim: 130),
            Case(tokens: 35, heads: 7, keyHeads: 1, keyDim: 1, valueDim: 1),
            Case(tokens: 40, heads: 2, keyHeads: 1, keyDim: 64, valueDim: 64),
            Case(tokens: 20, heads: 1, keyHeads: 1, keyDim: 128, valueDim: 128),
            // Decays near one, near zero, and all of it at once.
            Case(tokens: 65, decays: .between(1e-6, 1e-5)), Case(tokens: 65, decays: .between(5, 40)),
            Case(tokens: 65, decays: .between(1e-6, 40)), Case(tokens: 40, decays: .constant(0)),
            Case(tokens: 40, decays: .constant(-80)), Case(tokens: 40, decays: .constant(-1e4)),
            Case(tokens: 2000, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, decays: .constant(-1e-6)),
            Case(tokens: 2000, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, decays: .between(1e-6, 20)),
            // Documents that start inside blocks, at their edges, and one token long.
            Case(tokens: 70, documents: [0, 3, 4, 5, 16, 48, 64]), Case(tokens: 40, documents: [0]),
            Case(tokens: 40, documents: [0, 39]), Case(tokens: 5, documents: [0, 2, 3]),
        ]

        @Test(arguments: cases, Rule.allCases) func everyFormIsTheRecurrence(_ test: Case, _ rule: Rule) throws {
            let inputs = try test.inputs(rule)
            let expected = try inputs.oracle()
            try withEveryKernel { choice in
                for (name, form) in Self.forms {
                    let (out, state) = try inputs.run(form)
                    let what = "\(name), \(choice)"
                    #expect(out.shape == [test.batch, test.tokens, test.heads, test.valueDim])
                    // Without decays a state is a sum over all tokens, and elements near zero have the rounding of greater ones.
                    try expectCloseInScale(doubles(out), expected.out, 1e-5, "outputs, \(what)")
                    try expectCloseInScale(doubles(state), expected.state, 1e-5, "state, \(what)")
                }
            }
        }

        @Test(arguments: Rule.allCases) func segmentsAreTheWhole(_ rule: Rule) throws {
            let inputs = try Case(tokens: 150, heads: 3, keyHeads: 1, keyDim: 12, valueDim: 20).inputs(rule)
            let expected = try inputs.oracle()
            func rows(_ tensor: Tensor, _ range: Range<Int>) throws -> Tensor {
                let part = try tensor.reshaped(Array(tensor.shape.dropFirst())).rows(range)
                return try part.reshaped([1] + part.shape)
            }
            try withEveryKernel { choice in
                for splits in [[0, 1, 2, 20, 84, 85, 150], [0, 64, 128, 150], [0, 75, 150], Array(0...150)] {
                    var state = inputs.state
                    var out: [Double] = []
                    for (begin, end) in zip(splits, splits.dropFirst()) {
                        let x = inputs.recurrence, range = begin..<end
                        let (q, k, v) = try (rows(x.q, range), rows(x.k, range), rows(x.v, range))
                        let part = try Recurrence(
                            q: q, k: k, v: v, logDecays: rows(x.logDecays, range),
                            betas: x.betas.map { try rows($0, range) },
                            rankOne: x.rankOne.map {
                                try .init(reads: rows($0.reads, range), writes: rows($0.writes, range))
                            }, scale: x.scale)
                        out += try doubles(part.outputs(&state))
                    }
                    expectClose(out, expected.out, 1e-5, "outputs, \(splits), \(choice)")
                    try expectClose(doubles(state), expected.state, 1e-5, "state, \(splits), \(choice)")
                }
            }
        }

        @Test("without a state a recurrence begins from the empty one", arguments: Rule.allCases)
        func emptyState(_ rule: Rule) throws {
            let x = try Case(tokens: 20).inputs(rule).recurrence
            var state = try Tensor.zeros([1, 3, 16, 16])
            let whole =
                if let betas = x.betas {
                    try Tensor.gatedDelta(
                        q: x.q, k: x.k, v: x.v, logDecays: x.logDecays, betas: betas, scale: x.scale)
                } else if let rankOne = x.rankOne {
                    try Tensor.generalDelta(
                        q: x.q, k: x.k, v: x.v, logDecays: x.logDecays, rankOne: rankOne, scale: x.scale)
                } else {
                    try Tensor.gatedLinear(q: x.q, k: x.k, v: x.v, logDecays: x.logDecays, scale: x.scale)
                }
            #expect(try whole.array(Float.self) == x.outputs(&state).array(Float.self))
        }

        @Test func copiesOfAStateStay() throws {
            for form in [moult_recurrence_stepwise, moult_recurrence_blocked] {
                let inputs = try Case(tokens: 3).inputs(.deltaChannels)
                let before = try inputs.state.array(Float.self)
                let after = try inputs.run(form).state
                #expect(try inputs.state.array(Float.self) == before)
                #expect(try after.array(Float.self) != before)
            }
        }

        /// Two threads share heads or, where these are fewer, columns: every bit is the same as for one.
        @Test(arguments: [
            Case(tokens: 70, heads: 9, keyHeads: 9), Case(tokens: 70, heads: 2, keyHeads: 1, valueDim: 200),
            Case(tokens: 3, heads: 1, keyHeads: 1, keyDim: 64, valueDim: 300),
        ])
        func threadsChangeNothing(_ test: Case) throws {
            for rule in Rule.allCases {
                let inputs = try test.inputs(rule)
                let results = try [1, 2].map { threads in
                    var arrays: [[Float]] = []
                    try KernelChoice(set: String(cString: moult_kernels_name()), threads: threads, oneDNN: true).run {
                        let (out, state) = try inputs.run(moult_recurrence_automatic)
                        arrays = try [out.array(), state.array()]
                    }
                    return arrays
                }
                #expect(results[0] == results[1], "\(rule)")
            }
        }

        @Test func oracleIsFlashLinearAttention() throws {
            for (index, test) in try fixture("recurrences", of: RecurrenceFixture.self).enumerated() {
                let inputs = try test.inputs
                let oracle = try inputs.oracle()
                let (out, state) = try (doubles(test.out.tensor), doubles(test.final.tensor))
                expectClose(oracle.out, out, 1e-5, "oracle's outputs, case \(index)")
                expectClose(oracle.state, state, 1e-5, "oracle's state, case \(index)")
                try withEveryKernel { choice in
                    for (name, form) in Self.forms {
                        let found = try inputs.run(form)
                        let what = "case \(index), \(name), \(choice)"
                        try expectClose(doubles(found.out), out, 1e-5, "outputs, \(what)")
                        try expectClose(doubles(found.state), state, 1e-5, "state, \(what)")
                    }
                }
            }
        }
    }
}

/// One case of recurrences.json, which Tools/fixtures/recurrences.py wrote.
extension Recurrence {
    /// The outputs by the operation of the rule, from `state` on.
    func outputs(_ state: inout Tensor) throws -> Tensor {
        if let betas {
            return try Tensor.gatedDelta(
                q: q, k: k, v: v, logDecays: logDecays, betas: betas, scale: scale, state: &state)
        }
        guard let rankOne else {
            return try Tensor.gatedLinear(q: q, k: k, v: v, logDecays: logDecays, scale: scale, state: &state)
        }
        return try Tensor.generalDelta(
            q: q, k: k, v: v, logDecays: logDecays, rankOne: rankOne, scale: scale, state: &state)
    }
}

struct RecurrenceFixture: Decodable {
    var q, k, v, logDecays, state, out, final, gradient, finalGradient: FixtureTensor
    var betas, reads, writes: FixtureTensor?
    var gradients: [FixtureTensor]
    var scale: Float

    var inputs: KernelTests.RecurrenceTests.Inputs {
        get throws {
            try KernelTests.RecurrenceTests.Inputs(
                recurrence: Recurrence(
                    q: q.tensor, k: k.tensor, v: v.tensor, logDecays: logDecays.tensor,
                    betas: betas.map { try $0.tensor },
                    rankOne: reads.flatMap { reads in
                        try writes.map { try .init(reads: reads.tensor, writes: $0.tensor) }
                    }, scale: scale),
                state: state.tensor)
        }
    }
}
