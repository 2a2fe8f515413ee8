import Tensors
import Testing

extension KernelTests {
    @Suite("Every recorded operation against differences")
    struct OperationGradientTests {
        private func tensors(_ seed: UInt64, _ shapes: [Int]..., scale: Float = 1) throws -> [Tensor] {
            var random = Random(seed)
            return try shapes.map { try random.tensor($0, scale: scale) }
        }

        @Test func linear() throws {
            let inputs = try tensors(1, [2, 3, 5], [4, 5], [4], [3, 5], [3])
            try TapeGradients.check("two maps with biases", inputs) {
                try $0[0].linear([$0[1], $0[3]], biases: [$0[2], $0[4]])
            }
            try TapeGradients.check("one without", Array(inputs.prefix(2))) { [try $0[0].linear($0[1])] }
            // A result that nobody uses.
            try TapeGradients.check("the second of two", [inputs[0], inputs[3], inputs[4]]) {
                [try $0[0].linear([inputs[1], $0[1]], biases: [nil, $0[2]])[1]]
            }
        }

        @Test func linearOfHalfPrecision() throws {
            var random = Random(2)
            let weight = try random.tensor([4, 5], .float16)
            try TapeGradients.check("input of float16 weights", [try random.tensor([3, 5])]) {
                [try $0[0].linear(weight)]
            }
        }

        @Test func embedding() throws {
            try TapeGradients.check("embedding", try tensors(3, [5, 4])) {
                [try Tensor.embedding([3, 0, 3, 1, 2, 4], table: $0[0])]
            }
        }

        @Test func norm() throws {
            try TapeGradients.check("norm", try tensors(4, [2, 3, 6], [6], scale: 2)) {
                [try $0[0].rmsNorm(weight: $0[1], epsilon: 1e-5)]
            }
            try TapeGradients.check("norm of heads", try tensors(4, [1, 2, 3, 6], [6], scale: 2)) {
                [try $0[0].rmsNorm(weight: $0[1], epsilon: 1e-5)]
            }
            let layer = try tensors(16, [2, 3, 6], [6], [6], scale: 2)
            try TapeGradients.check("layer norm", layer) {
                [try $0[0].layerNorm(weight: $0[1], bias: $0[2], epsilon: 1e-5)]
            }
            try TapeGradients.check("layer norm without a bias, beside a residual stream", Array(layer.prefix(2))) {
                [try $0[0].adding($0[0].layerNorm(weight: $0[1], epsilon: 1e-5))]
            }
        }

        @Test func elementwise() throws {
            let inputs = try tensors(5, [3, 7], [3, 7], scale: 3)
            try TapeGradients.check("adding", inputs) { [try $0[0].adding($0[1])] }
            try TapeGradients.check("scaled", [inputs[0]]) { [try $0[0].scaled(by: -2.5)] }
            for activation in Activation.allCases {
                try TapeGradients.check("\(activation)", [inputs[0]]) { [try $0[0].activated(activation)] }
                try TapeGradients.check("gated \(activation)", inputs) {
                    [try Tensor.gated(activation, gate: $0[0], up: $0[1])]
                }
            }
            try TapeGradients.check("log gate", [inputs[0]]) { [try $0[0].logGate(divisor: 2)] }
            try TapeGradients.check("mix", try tensors(6, [2, 2, 3, 4], [2, 2, 3, 4], [2, 2, 3], scale: 2)) {
                [try Tensor.mix($0[0], $0[1], logits: $0[2])]
            }
        }

        @Test func rope() throws {
            let angles = try tensors(7, [6, 2], scale: 3)[0].array(Float.self)
            let cosines = try Tensor(angles.map { (1 - $0 * $0 / 9) / (1 + $0 * $0 / 9) }, shape: [6, 2])
            let sines = try Tensor(angles.map { 2 * $0 / 3 / (1 + $0 * $0 / 9) }, shape: [6, 2])
            try TapeGradients.check("rope", try tensors(8, [2, 3, 2, 4])) {
                [try $0[0].rope(cosines: cosines, sines: sines, offset: 2)]
            }
        }

        @Test func heads() throws {
            let inputs = try tensors(11, [2, 3, 6, 2], [2, 3, 4, 2]), set = HeadSet([1])
            try TapeGradients.check("some heads", [inputs[0]]) { [try $0[0].heads(set, of: 3)] }
            // One head of the first, twice, and the others of the second.
            try TapeGradients.check("joined heads", inputs) {
                [try $0[0].heads(set, of: 3).joined(with: $0[1], as: set, of: 3).adding($0[0])]
            }
        }

        @Test func cappedAttention() throws {
            let inputs = try tensors(9, [1, 7, 4, 3], [1, 7, 2, 3], [1, 7, 2, 5], scale: 2)
            try TapeGradients.check("capped attention", inputs) {
                [
                    try $0[0].attention(
                        k: $0[1], v: $0[2], scale: 0.6, cap: 1.5, span: AttentionSpan(window: 3, sinks: 1))
                ]
            }
            for cap in [0, -1, Float.nan, .infinity] {
                #expect(throws: TensorError.self) {
                    try inputs[0].attention(k: inputs[1], v: inputs[2], scale: 1, cap: cap)
                }
            }
        }

        @Test(arguments: [AttentionSpan(), .init(window: 3), .init(window: 2, sinks: 2)], [nil, [0, 2, 6]])
        func attention(span: AttentionSpan, documents: [Int]?) throws {
            let inputs = try tensors(9, [1, 7, 4, 3], [1, 7, 2, 3], [1, 7, 2, 5], scale: 2)
            try TapeGradients.check("attention", inputs) {
                [
                    try $0[0].attention(
                        k: $0[1], v: $0[2], scale: 0.6, span: span,
                        documents: documents.map(Documents.init(_:)))
                ]
            }
        }

        /// Inputs of GSA with B = `batch`: q, k, v, log gates before the sigmoid, and an initial state.
        private func slotInputs(_ seed: UInt64, batch: Int) throws -> [Tensor] {
            try tensors(
                seed, [batch, 6, 4, 3], [batch, 6, 2, 3], [batch, 6, 2, 5], [batch, 6, 2, 4], [batch, 2, 4, 3],
                [batch, 2, 4, 5], scale: 2)
        }

        @Test(arguments: [nil, [0, 1, 4]])
        func gatedSlotAttention(documents: [Int]?) throws {
            let inputs = try slotInputs(10, batch: documents == nil ? 2 : 1)
            func run(_ inputs: [Tensor], outputs: Bool, final: Bool) throws -> [Tensor] {
                var state = GatedSlotState(keys: inputs[4], values: inputs[5])
                let output = try Tensor.gatedSlotAttention(
                    q: inputs[0], k: inputs[1], v: inputs[2], logGates: inputs[3].logGate(divisor: 2), scale: 0.7,
                    state: &state, documents: documents.map(Documents.init(_:)))
                return (outputs ? [output] : []) + (final ? [state.keys, state.values] : [])
            }
            try TapeGradients.check("outputs and final state", inputs) { try run($0, outputs: true, final: true) }
            try TapeGradients.check("outputs", inputs) { try run($0, outputs: true, final: false) }
            if documents == nil {
                let zeros = try Tensor.zeros(inputs[0].shape)
                try TapeGradients.check("final state", Array(inputs.dropFirst())) {
                    try run([zeros] + $0, outputs: false, final: true)
                }
            }
        }

        @Test("a state carried over two calls is one call over both")
        func segments() throws {
            let inputs = try slotInputs(11, batch: 2)
            let first = try tensors(12, [2, 4, 4, 3], [2, 4, 2, 3], [2, 4, 2, 5], [2, 4, 2, 4])
            try TapeGradients.check("two segments", first + inputs) { all in
                var state = GatedSlotState(keys: all[8], values: all[9])
                return try [0, 4].map { start in
                    try Tensor.gatedSlotAttention(
                        q: all[start], k: all[start + 1], v: all[start + 2],
                        logGates: all[start + 3].logGate(divisor: 2), scale: 0.7, state: &state)
                }
            }
        }

        /// Inputs of a recurrence with B = `batch`: q, k, v, log decays before the sigmoid, betas and an initial state.
        private func recurrenceInputs(_ seed: UInt64, batch: Int, channels: Bool) throws -> [Tensor] {
            try tensors(
                seed, [batch, 6, 4, 3], [batch, 6, 2, 3], [batch, 6, 2, 5], [batch, 6, 2, channels ? 3 : 1],
                [batch, 6, 2], [batch, 2, 3, 5])
        }

        @Test(arguments: [nil, [0, 1, 4]], [false, true])
        func gatedLinear(documents: [Int]?, channels: Bool) throws {
            let inputs = try recurrenceInputs(17, batch: documents == nil ? 2 : 1, channels: channels)
            let packed = documents.map(Documents.init(_:))
            try TapeGradients.check("outputs and final state", Array(inputs[..<4] + inputs[5...])) {
                var state = $0[4]
                let output = try Tensor.gatedLinear(
                    q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3].logGate(divisor: 2), scale: 0.7, state: &state,
                    documents: packed)
                return [output, state]
            }
            try TapeGradients.check("outputs from the empty state", Array(inputs[..<4])) {
                [
                    try Tensor.gatedLinear(
                        q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3].logGate(divisor: 2), scale: 0.7,
                        documents: packed)
                ]
            }
        }

        @Test(arguments: [nil, [0, 1, 4]], [false, true])
        func gatedDelta(documents: [Int]?, channels: Bool) throws {
            let inputs = try recurrenceInputs(18, batch: documents == nil ? 2 : 1, channels: channels)
            let packed = documents.map(Documents.init(_:))
            func run(_ inputs: [Tensor], outputs: Bool, final: Bool) throws -> [Tensor] {
                var state = inputs[5]
                let output = try Tensor.gatedDelta(
                    q: inputs[0], k: inputs[1], v: inputs[2], logDecays: inputs[3].logGate(divisor: 2),
                    betas: inputs[4], scale: 0.7, state: &state, documents: packed)
                return (outputs ? [output] : []) + (final ? [state] : [])
            }
            try TapeGradients.check("outputs and final state", inputs) { try run($0, outputs: true, final: true) }
            try TapeGradients.check("outputs", inputs) { try run($0, outputs: true, final: false) }
            if documents == nil {
                let zeros = try Tensor.zeros(inputs[0].shape)
                try TapeGradients.check("final state", Array(inputs.dropFirst())) {
                    try run([zeros] + $0, outputs: false, final: true)
                }
            }
            try TapeGradients.check("outputs from the empty state", Array(inputs[..<5])) {
                [
                    try Tensor.gatedDelta(
                        q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3].logGate(divisor: 2), betas: $0[4], scale: 0.7,
                        documents: packed)
                ]
            }
        }

        @Test(arguments: [nil, [0, 1, 4]])
        func generalDelta(documents: [Int]?) throws {
            let batch = documents == nil ? 2 : 1, channels = [batch, 6, 2, 3]
            let inputs = try tensors(
                19, [batch, 6, 4, 3], channels, [batch, 6, 2, 5], channels, channels, channels, [batch, 2, 3, 5])
            let packed = documents.map(Documents.init(_:))
            try TapeGradients.check("outputs and final state", inputs) {
                var state = $0[6]
                let output = try Tensor.generalDelta(
                    q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3].logGate(divisor: 2),
                    rankOne: .init(reads: $0[4], writes: $0[5]), scale: 0.7, state: &state, documents: packed)
                return [output, state]
            }
            try TapeGradients.check("outputs from the empty state", Array(inputs[..<6])) {
                [
                    try Tensor.generalDelta(
                        q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3].logGate(divisor: 2),
                        rankOne: .init(reads: $0[4], writes: $0[5]), scale: 0.7, documents: packed)
                ]
            }
        }

        @Test func views() throws {
            try TapeGradients.check("reshaped", try tensors(13, [2, 6])) {
                [try $0[0].reshaped([3, 4]).activated(.silu)]
            }
            try TapeGradients.check("overlapping rows", try tensors(14, [5, 3])) {
                [try $0[0].rows(1..<4).activated(.silu), try $0[0].rows(0..<2), try $0[0].rows(3..<5)]
            }
        }
    }
}
