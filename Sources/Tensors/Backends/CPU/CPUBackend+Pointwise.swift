import CKernels

extension CPUBackend {
    public func pointwise(_ call: PointwiseCall) throws -> [Tensor] {
        let results = try call.results.map { try Tensor.empty($0.shape) }
        // The results are fresh: nobody else sees them while the kernels write them.
        let memory = results.map { $0.storage.bytes.baseAddress?.assumingMemoryBound(to: Float.self) }
        try withExtendedLifetime((call, results)) {
            try call.withKernel(inputs: call.inputs.map(\.tensor.floats), results: memory) {
                var job = $0
                try moult_pointwise(&job).check(bytes: 4 * call.count)
            }
        }
        return results
    }
}

extension PointwiseCall {
    /// Calls `body` with what the kernels are told, of inputs and results in that memory.
    func withKernel<Result>(
        inputs values: [UnsafePointer<Float>?], results memory: [UnsafeMutablePointer<Float>?],
        _ body: (moult_pointwise) throws -> Result
    ) throws -> Result {
        let plan = PointwisePlan(self)
        let inputs = zip(inputs, values).map {
            moult_pointwise_input(values: $1, inner: Int64($0.broadcast.inner), count: Int64($0.broadcast.count))
        }
        let sums = plan.sums.map { index, place in
            let broadcast = results[index].broadcast
            return moult_pointwise_sum(
                place: place, sums: memory[index], inner: Int64(broadcast.inner), count: Int64(broadcast.count))
        }
        return try plan.steps.withUnsafeBufferPointer { steps in
            try inputs.withUnsafeBufferPointer { inputs in
                try sums.withUnsafeBufferPointer { sums in
                    try plan.written.map { memory[$0] }.withUnsafeBufferPointer { written in
                        try body(
                            moult_pointwise(
                                count: Int64(count), steps: Int32(steps.count), inputs: Int32(inputs.count),
                                results: Int32(written.count), registers: Int32(plan.registers),
                                sums: Int32(sums.count), step: steps.baseAddress, input: inputs.baseAddress,
                                result: written.baseAddress, sum: sums.baseAddress))
                    }
                }
            }
        }
    }
}

/// A program with a place for every value: an input's, a result's own memory, or one of a few registers.
private struct PointwisePlan {
    private(set) var steps: [moult_pointwise_step] = []
    private(set) var registers = 0
    /// The results that are written element by element.
    private(set) var written: [Int] = []
    /// The results that are sums, and where what is summed stands.
    private(set) var sums: [(result: Int, place: Int32)] = []

    init(_ call: PointwiseCall) {
        let program = call.program
        for (index, result) in call.results.enumerated() {
            if result.broadcast.isWhole(of: call.count) { written.append(index) } else { sums.append((index, 0)) }
        }
        let firstRegister = program.inputs + written.count
        var places = [Int](repeating: -1, count: program.inputs + program.steps.count)
        for input in 0..<program.inputs { places[input] = input }
        var uses = [Int](repeating: 0, count: places.count)
        for step in program.steps {
            uses[step.first] += 1
            if step.second != step.first { uses[step.second] += 1 }
        }
        // Results that are values of steps are computed in place. One that is an input, or another's value, is copied.
        // Registers of those that are asked for are never free.
        var copies: [(value: Int, place: Int)] = []
        for (slot, result) in written.enumerated() {
            let value = program.results[result]
            if places[value] < 0 {
                places[value] = program.inputs + slot
            } else {
                copies.append((value, program.inputs + slot))
            }
            uses[value] += 2
        }
        for sum in sums { uses[program.results[sum.result]] += 2 }
        var free: [Int32] = []
        let (merged, waits) = Self.merged(program, uses)
        for index in program.steps.indices where !waits[index] {
            let (value, step) = (program.inputs + index, merged[index])
            let own = program.steps[step.index]
            // An operand's register is free for the result: every element is read before it is written.
            for operand in [own.first, own.second == own.first ? -1 : own.second, step.factor] where operand >= 0 {
                uses[operand] -= 1
                if uses[operand] == 0, places[operand] >= firstRegister { free.append(Int32(places[operand])) }
            }
            if places[value] < 0 {
                if free.isEmpty {
                    free.append(Int32(firstRegister + registers))
                    registers += 1
                }
                places[value] = Int(free.removeLast())
            }
            steps.append(
                moult_pointwise_step(
                    operation: own.operation.kernel, first: Int32(places[own.first]), second: Int32(places[own.second]),
                    factor: step.factor < 0 ? -1 : Int32(places[step.factor]), result: Int32(places[value]),
                    constant: own.operation.hasConstant ? own.constant : step.multiplier))
        }
        for copy in copies {
            let from = Int32(places[copy.value])
            steps.append(
                moult_pointwise_step(
                    operation: moult_pw_scale, first: from, second: from, factor: -1, result: Int32(copy.place),
                    constant: 1))
        }
        for index in sums.indices { sums[index].place = Int32(places[program.results[sums[index].result]]) }
    }

    /// A step together with what it alone is for: multiplied by a number, or by another value unless `factor` is
    /// negative.
    private struct Merged {
        var index: Int
        var multiplier: Float = 1
        var factor = -1
    }

    /// The steps as they are run, and which of them wait to be run as a part of a later one.
    private static func merged(_ program: PointwiseProgram, _ uses: [Int]) -> (steps: [Merged], waits: [Bool]) {
        var merged: [Merged] = []
        merged.reserveCapacity(program.steps.count)
        var waits = [Bool](repeating: false, count: program.steps.count)
        for (index, step) in program.steps.enumerated() {
            var found = Merged(index: index)
            /// The step whose value is for this one alone.
            func single(_ value: Int) -> Int? {
                value >= program.inputs && uses[value] == 1 ? value - program.inputs : nil
            }
            if step.operation == .scale, let own = single(step.first), merged[own].factor < 0,
                !program.steps[merged[own].index].operation.hasConstant
            {
                found = merged[own]
                found.multiplier *= step.constant
                waits[own] = true
            } else if step.operation == .multiply, step.first != step.second {
                for (value, other) in [(step.first, step.second), (step.second, step.first)] {
                    guard let own = single(value), merged[own].factor < 0, merged[own].multiplier == 1 else { continue }
                    found = merged[own]
                    found.factor = other
                    waits[own] = true
                    break
                }
            }
            merged.append(found)
        }
        return (merged, waits)
    }
}

extension PointwiseOperation {
    fileprivate var kernel: moult_pointwise_operation {
        switch self {
        case .add: moult_pw_add
        case .subtract: moult_pw_subtract
        case .multiply: moult_pw_multiply
        case .divide: moult_pw_divide
        case .shift: moult_pw_shift
        case .scale: moult_pw_scale
        case .from: moult_pw_from
        case .over: moult_pw_over
        case .atLeast: moult_pw_at_least
        case .atMost: moult_pw_at_most
        case .square: moult_pw_square
        case .squareRoot: moult_pw_square_root
        case .reciprocalSquareRoot: moult_pw_reciprocal_square_root
        case .exp: moult_pw_exp
        case .log: moult_pw_log
        case .sigmoid: moult_pw_sigmoid
        case .complement: moult_pw_complement
        case .logSigmoid: moult_pw_log_sigmoid
        case .softplus: moult_pw_softplus
        case .tanh: moult_pw_tanh
        case .silu: moult_pw_silu
        case .gelu: moult_pw_gelu
        case .geluTanh: moult_pw_gelu_tanh
        case .sigmoidSlope: moult_pw_sigmoid_slope
        case .siluSlope: moult_pw_silu_slope
        case .geluSlope: moult_pw_gelu_slope
        case .geluTanhSlope: moult_pw_gelu_tanh_slope
        case .whereAbove: moult_pw_where_above
        case .whereBelow: moult_pw_where_below
        }
    }
}
