import CKernels

extension CPUBackend {
    public func pointwise(_ call: PointwiseCall) throws -> [Tensor] {
        let plan = PointwisePlan(call)
        let results = try call.results.map { try Tensor.empty($0.shape) }
        // The results are fresh: nobody else sees them while the kernels write them.
        let memory = results.map { $0.storage.bytes.baseAddress?.assumingMemoryBound(to: Float.self) }
        let inputs = call.inputs.map {
            moult_pointwise_input(
                values: $0.tensor.floats, inner: Int64($0.broadcast.inner), count: Int64($0.broadcast.count))
        }
        let sums = plan.sums.map { index, place in
            let broadcast = call.results[index].broadcast
            return moult_pointwise_sum(
                place: place, sums: memory[index], inner: Int64(broadcast.inner), count: Int64(broadcast.count))
        }
        let written = plan.written.map { memory[$0] }
        try withExtendedLifetime((call, results)) {
            try plan.steps.withUnsafeBufferPointer { steps in
                try inputs.withUnsafeBufferPointer { inputs in
                    try sums.withUnsafeBufferPointer { sums in
                        try written.withUnsafeBufferPointer { written in
                            var job = moult_pointwise(
                                count: Int64(call.count), steps: Int32(steps.count), inputs: Int32(inputs.count),
                                results: Int32(written.count), registers: Int32(plan.registers),
                                sums: Int32(sums.count), step: steps.baseAddress, input: inputs.baseAddress,
                                result: written.baseAddress, sum: sums.baseAddress)
                            try moult_pointwise(&job).check(bytes: 4 * call.count)
                        }
                    }
                }
            }
        }
        return results
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
        let isSum = call.results.map { !$0.broadcast.isWhole(of: call.count) }
        written = call.results.indices.filter { !isSum[$0] }
        let firstRegister = program.inputs + written.count
        var places = Array(0..<program.inputs) + Array(repeating: -1, count: program.steps.count)
        // Results that are values of steps are computed in place. One that is an input, or another's value, is copied.
        var copies: [(value: Int, place: Int)] = []
        for (slot, result) in written.enumerated() {
            let value = program.results[result]
            if places[value] < 0 {
                places[value] = program.inputs + slot
            } else {
                copies.append((value, program.inputs + slot))
            }
        }
        var lastUse = [Int](repeating: -1, count: places.count)
        for (index, step) in program.steps.enumerated() {
            lastUse[step.first] = index
            lastUse[step.second] = index
        }
        for result in call.results.indices where isSum[result] { lastUse[program.results[result]] = Int.max }
        for copy in copies { lastUse[copy.value] = Int.max }
        var free: [Int] = []
        for (index, step) in program.steps.enumerated() {
            let value = program.inputs + index
            // An operand's register is free for the result: every element is read before it is written.
            for operand in Set([step.first, step.second]) where lastUse[operand] == index {
                if places[operand] >= firstRegister { free.append(places[operand]) }
            }
            if places[value] < 0 {
                if free.isEmpty {
                    free.append(firstRegister + registers)
                    registers += 1
                }
                places[value] = free.removeLast()
            }
            steps.append(
                moult_pointwise_step(
                    operation: step.operation.kernel, first: Int32(places[step.first]),
                    second: Int32(places[step.second]), result: Int32(places[value]), constant: step.constant))
        }
        for copy in copies {
            let from = Int32(places[copy.value])
            steps.append(
                moult_pointwise_step(
                    operation: moult_pw_scale, first: from, second: from, result: Int32(copy.place), constant: 1))
        }
        sums = call.results.indices.filter { isSum[$0] }.map { ($0, Int32(places[program.results[$0]])) }
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
