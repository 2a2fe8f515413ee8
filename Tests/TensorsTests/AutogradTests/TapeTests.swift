import Tensors
import Testing

extension KernelTests {
    @Suite("The tape")
    struct TapeTests {
        private func tensors(_ seed: UInt64, _ shapes: [Int]...) throws -> [Tensor] {
            var random = Random(seed)
            return try shapes.map { try random.tensor($0) }
        }

        @Test("uses of one tensor add up")
        func severalUses() throws {
            let inputs = try tensors(31, [3, 4], [4, 4], [4])
            try TapeGradients.check("x + x + f(x) + f(f(x))", inputs) { inputs in
                let (x, weight, norm) = (inputs[0], inputs[1], inputs[2])
                let once = try x.rmsNorm(weight: norm, epsilon: 1e-5).linear(weight)
                let twice = try once.rmsNorm(weight: norm, epsilon: 1e-5).linear(weight)
                return [try x.adding(x).adding(once).adding(twice), once]
            }
        }

        @Test("a sum's two terms do not share what is added later")
        func gradientsAreSeparate() throws {
            let inputs = try tensors(32, [3, 4], [3, 4])
            try TapeGradients.check("x + y, and more of y", inputs) { inputs in
                let more = try inputs[1].activated(.silu)
                return [try inputs[0].adding(inputs[1]), more]
            }
        }

        @Test("what is not used gets no gradient")
        func unused() throws {
            let inputs = try tensors(33, [3, 4], [3, 4])
            let found = try TapeGradients.onTape(inputs) { inputs in
                _ = try inputs[1].activated(.silu).adding(inputs[0])
                return [try inputs[0].activated(.silu)]
            }
            #expect(found[0] != nil)
            #expect(found[1] == nil)
        }

        @Test("a gradient is told of when nothing more comes to it, and then refuses more")
        func complete() throws {
            let inputs = try tensors(36, [3, 4], [3, 4], [3, 4])
            let tape = GradientTape()
            var told: [(Int, [Float]?)] = []
            let watched = inputs.map { tape.watch($0) }
            tape.whenComplete = { variable in
                guard let place = watched.firstIndex(where: { $0.variable === variable }) else { return }
                told.append((place, try variable.gradient?.array()))
            }
            // The first is used before the others, and again behind them.
            let result = try watched[0].activated(.silu).adding(watched[1]).adding(watched[2]).adding(watched[0])
            _ = try result.relativeSquaredError(to: inputs[1])
            try tape.playBack()
            #expect(told.map(\.0) == [2, 1, 0])
            for (place, gradient) in told { #expect(try watched[place].gradient?.array() == gradient) }
            #expect(throws: TensorError.self) { try watched[1].relativeSquaredError(to: inputs[0]) }
            // Watched once more it begins anew.
            let again = tape.watch(inputs[1], as: watched[1].variable)
            _ = try again.relativeSquaredError(to: inputs[0])
        }

        @Test("what is not watched is not recorded")
        func unwatched() throws {
            let inputs = try tensors(34, [3, 4], [3, 4])
            let tape = GradientTape()
            let watched = tape.watch(inputs[0])
            let other = try inputs[1].activated(.silu).adding(inputs[1])
            #expect(tape.count == 0 && other.variable == nil)
            #expect(try watched.detached.activated(.silu).variable == nil)
            #expect(tape.count == 0)
            #expect(try watched.adding(inputs[1]).variable != nil)
            #expect(tape.count == 1)
        }

        @Test("gradients of several passes add up in one variable")
        func accumulation() throws {
            let inputs = try tensors(35, [3, 4], [3, 4], [3, 4])
            let tape = GradientTape()
            var watched = tape.watch(inputs[0])
            for target in inputs.dropFirst() {
                watched = tape.watch(inputs[0], as: watched.variable)
                _ = try watched.activated(.silu).relativeSquaredError(to: target)
                try tape.playBack()
            }
            let parts = try inputs.dropFirst().map { target in
                let fresh = tape.watch(inputs[0])
                _ = try fresh.activated(.silu).relativeSquaredError(to: target)
                try tape.playBack()
                return try doubles(#require(fresh.gradient))
            }
            expectClose(try doubles(#require(watched.gradient)), zip(parts[0], parts[1]).map(+), 1e-6, "sum")
            watched.variable?.takeGradient()
            #expect(watched.gradient == nil)
        }

        // MARK: Checkpoints

        /// A residual block of x (T, 4).
        private func block(_ x: Tensor, _ weights: [Tensor]) throws -> Tensor {
            let inner = try x.rmsNorm(weight: weights[0], epsilon: 1e-5).linear([weights[1], weights[2]])
            return try x.adding(Tensor.gated(.silu, gate: inner[0], up: inner[1]))
        }

        private func gradients(checkpointing: (GradientTape, Tensor, [Tensor]) throws -> Tensor) throws -> [[Float]] {
            let inputs = try tensors(36, [5, 4], [4], [4, 4], [4, 4])
            let tape = GradientTape()
            let watched = inputs.map { tape.watch($0) }
            let result = try checkpointing(tape, watched[0], Array(watched.dropFirst()))
            _ = try result.relativeSquaredError(to: tensors(37, [5, 4])[0])
            try tape.playBack()
            #expect(tape.count == 0)
            return try [result.array()] + watched.map { try #require($0.gradient).array() }
        }

        @Test("a part that is computed again gives the same to the bit, nested too")
        func checkpoint() throws {
            let plain = try gradients { _, x, weights in try block(block(block(x, weights), weights), weights) }
            let single = try gradients { tape, x, weights in
                var x = x
                for _ in 0..<3 { x = try tape.checkpoint(x) { try block($0, weights) } }
                return x
            }
            let nested = try gradients { [self] tape, x, weights in
                try tape.checkpoint(x) { x in
                    let inner = try tape.checkpoint(x) { x in
                        try tape.checkpoint(x) { try block($0, weights) }
                    }
                    return try block(tape.checkpoint(inner) { try block($0, weights) }, weights)
                }
            }
            #expect(single == plain)
            #expect(nested == plain)
        }

        @Test("a part that is computed again records one operation")
        func checkpointKeepsNothing() throws {
            let inputs = try tensors(38, [5, 4], [4], [4, 4], [4, 4])
            let tape = GradientTape()
            let watched = inputs.map { tape.watch($0) }
            _ = try tape.checkpoint(watched[0]) {
                try block(block($0, Array(watched.dropFirst())), Array(inputs.suffix(3)))
            }
            #expect(tape.count == 1)
        }

        // MARK: Errors and memory

        private struct Stop: Error {}

        @Test("after an error the tape is as new")
        func errors() throws {
            let inputs = try tensors(39, [3, 4], [3, 4])
            let tape = GradientTape()
            let x = tape.watch(inputs[0])
            #expect(throws: Stop.self) { try tape.checkpoint(x.activated(.silu)) { _ in throw Stop() } }
            tape.clear()
            #expect(tape.count == 0)
            // An error on the way back: the second run of the checkpointed part.
            var runs = 0
            let result = try tape.checkpoint(x) { x in
                runs += 1
                if runs == 2 { throw Stop() }
                return try x.activated(.silu)
            }
            _ = try result.relativeSquaredError(to: inputs[1])
            #expect(throws: Stop.self) { try tape.playBack() }
            tape.clear()
            x.variable?.takeGradient()
            _ = try x.activated(.silu).relativeSquaredError(to: inputs[1])
            try tape.playBack()
            let fresh = try TapeGradients.onTapeOfSilu(inputs)
            #expect(try x.gradient?.array() == fresh)
        }

        @Test("nothing outlives its use")
        func memory() throws {
            let inputs = try tensors(40, [3, 4], [4, 4])
            weak var tape: GradientTape?
            weak var intermediate: Variable?
            weak var cleared: Variable?
            weak var leaf: Variable?
            do {
                let own = GradientTape()
                tape = own
                let watched = inputs.map { own.watch($0) }
                leaf = watched[1].variable
                func run(_ keep: (Tensor) -> Void) throws {
                    let inner = try watched[0].linear(watched[1])
                    keep(inner)
                    let outer = try own.checkpoint(inner) { try $0.activated(.silu).linear(watched[1]) }
                    _ = try outer.relativeSquaredError(to: inputs[0])
                }
                try run { intermediate = $0.variable }
                #expect(intermediate != nil, "the tape keeps what it needs")
                try own.playBack()
                #expect(intermediate == nil)
                try run { cleared = $0.variable }
                #expect(cleared != nil)
                own.clear()
                #expect(cleared == nil)
                #expect(watched[1].gradient != nil)
            }
            #expect(tape == nil && leaf == nil)
        }

        // MARK: Inference

        private func address(_ tensor: Tensor) throws -> UnsafeRawPointer? {
            try tensor.withUnsafeBytes { $0.baseAddress }
        }

        @Test("a step of GSA updates its state in place, unless its past is needed for gradients")
        func stateInPlace() throws {
            let inputs = try tensors(41, [1, 1, 2, 3], [1, 1, 2, 3], [1, 1, 2, 5], [1, 1, 2, 4])
            var state = try GatedSlotState.zeros(batch: 1, heads: 2, slots: 4, keyDim: 3, valueDim: 5)
            func step(_ q: Tensor) throws -> Tensor {
                try Tensor.gatedSlotAttention(
                    q: q, k: inputs[1], v: inputs[2], logGates: inputs[3].logGate(divisor: 8), scale: 1, state: &state)
            }
            _ = try step(inputs[0])
            let before = try (address(state.keys), address(state.values))
            _ = try step(inputs[0])
            #expect(try address(state.keys) == before.0 && address(state.values) == before.1)
            #expect(state.keys.variable == nil)
            let tape = GradientTape()
            let past = try state.keys.array(Float.self)
            let initial = state
            let output = try step(tape.watch(inputs[0]))
            #expect(output.variable != nil)
            #expect(try initial.keys.array(Float.self) == past)
            #expect(try state.keys.array(Float.self) != past)
        }

        @Test("a step of a recurrence updates its state in place, unless its past is needed for gradients")
        func recurrenceStateInPlace() throws {
            let inputs = try tensors(42, [1, 1, 2, 3], [1, 1, 2, 3], [1, 1, 2, 5], [1, 1, 2, 1], [1, 1, 2])
            var state = try Tensor.zeros([1, 2, 3, 5])
            func step(_ q: Tensor) throws -> Tensor {
                try Tensor.gatedDelta(
                    q: q, k: inputs[1], v: inputs[2], logDecays: inputs[3].logGate(divisor: 8), betas: inputs[4],
                    scale: 1, state: &state)
            }
            _ = try step(inputs[0])
            let before = try address(state)
            _ = try step(inputs[0])
            #expect(try address(state) == before)
            #expect(state.variable == nil)
            let tape = GradientTape()
            let past = try state.array(Float.self)
            let initial = state
            let output = try step(tape.watch(inputs[0]))
            #expect(output.variable != nil)
            #expect(try initial.array(Float.self) == past)
            #expect(try state.array(Float.self) != past)
        }
    }
}

extension TapeGradients {
    /// The gradient of the relative squared error of silu(inputs[0]) to inputs[1], from a fresh tape.
    static func onTapeOfSilu(_ inputs: [Tensor]) throws -> [Float]? {
        let tape = GradientTape()
        let x = tape.watch(inputs[0])
        _ = try x.activated(.silu).relativeSquaredError(to: inputs[1])
        try tape.playBack()
        return try x.gradient?.array()
    }
}
