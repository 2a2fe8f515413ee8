/// Expressions in steps, each of which uses values before it: first the inputs, then one of each step.
public struct PointwiseProgram: Hashable, Sendable {
    struct Step: Hashable, Sendable {
        let operation: PointwiseOperation
        let first: Int
        /// That of ``first`` where the operation has one operand.
        let second: Int
        let constant: Float
    }

    /// How many inputs there are.
    let inputs: Int
    private(set) var steps: [Step] = []
    /// The values that are asked for.
    private(set) var results: [Int] = []

    private init(inputs: Int) { self.inputs = inputs }

    /// The program of one expression; nil where it has inputs beyond these, of another expression.
    init?(_ expression: Pointwise, inputs: Int) {
        self.init(inputs: inputs)
        var known: [(node: Pointwise.Node, value: Int)] = []
        guard let value = value(of: expression.node, &known) else { return nil }
        results = [value]
    }

    private mutating func value(of node: Pointwise.Node, _ known: inout [(node: Pointwise.Node, value: Int)]) -> Int? {
        guard case .operation(let operation, let first, let second, let constant) = node.kind else {
            return node.input < inputs ? node.input : nil
        }
        if let found = known.first(where: { $0.node === node }) { return found.value }
        guard let a = value(of: first, &known), let b = second.map({ value(of: $0, &known) }) ?? a else { return nil }
        let found = add(operation, a, b, constant: constant)
        known.append((node, found))
        return found
    }

    /// The value of a step, which is added where there is no such step yet.
    @discardableResult
    mutating func add(
        _ operation: PointwiseOperation, _ first: Int, _ second: Int? = nil, constant: Float = 0
    ) -> Int {
        let step = Step(operation: operation, first: first, second: second ?? first, constant: constant)
        if let index = steps.lastIndex(of: step) { return inputs + index }
        steps.append(step)
        return inputs + steps.count - 1
    }

    /// The program of the gradients of `wanted` inputs, which are its results, nil for inputs that have no part in this
    /// program's results. Its inputs are `sources`: those of this program, and after them the gradients of its results,
    /// as far as it reads them.
    func gradients(of wanted: [Int]) -> (program: PointwiseProgram, sources: [Int], results: [Int?]) {
        var program = PointwiseProgram(inputs: inputs + results.count)
        func moved(_ value: Int) -> Int { value < inputs ? value : value + results.count }
        for step in steps {
            program.add(step.operation, moved(step.first), moved(step.second), constant: step.constant)
        }
        var gradients = [Int?](repeating: nil, count: program.inputs + steps.count)
        func pass(_ gradient: Int?, to value: Int) {
            guard let gradient else { return }
            gradients[value] = gradients[value].map { program.add(.add, $0, gradient) } ?? gradient
        }
        for (index, result) in results.enumerated() { pass(inputs + index, to: moved(result)) }
        for index in steps.indices.reversed() {
            let (step, value) = (program.steps[index], program.inputs + index)
            guard let gradient = gradients[value] else { continue }
            let found = program.gradients(of: step, result: value, gradient)
            pass(found.first, to: step.first)
            if step.operation.operands > 1 { pass(found.second, to: step.second) }
        }
        let found = wanted.map { gradients[$0] }
        var next = 0
        let places = found.map { gradient -> Int? in
            guard gradient != nil else { return nil }
            defer { next += 1 }
            return next
        }
        let (pruned, sources) = program.asking(for: found.compactMap { $0 }).pruned()
        return (pruned, sources, places)
    }

    /// The same steps, asked for other values.
    func asking(for values: [Int]) -> PointwiseProgram {
        var program = self
        program.results = values
        return program
    }

    /// The same steps with zeros for constants.
    func withoutConstants() -> PointwiseProgram {
        var program = self
        program.steps = steps.map {
            Step(operation: $0.operation, first: $0.first, second: $0.second, constant: 0)
        }
        return program
    }

    /// Without the steps and inputs that no result needs; and the inputs that stay.
    private func pruned() -> (program: PointwiseProgram, inputs: [Int]) {
        var places = [Int?](repeating: nil, count: inputs + steps.count)
        for result in results { places[result] = 0 }
        for index in steps.indices.reversed() where places[inputs + index] != nil {
            (places[steps[index].first], places[steps[index].second]) = (0, 0)
        }
        let used = (0..<inputs).filter { places[$0] != nil }
        for (place, input) in used.enumerated() { places[input] = place }
        var pruned = PointwiseProgram(inputs: used.count)
        for (index, step) in steps.enumerated() where places[inputs + index] != nil {
            // All that a needed step reads is needed.
            guard let first = places[step.first], let second = places[step.second] else { continue }
            places[inputs + index] = pruned.add(step.operation, first, second, constant: step.constant)
        }
        pruned.results = results.compactMap { places[$0] }
        return (pruned, used)
    }

    /// The program in two: what depends on inputs alone that go along with the whole in the same way, one program for
    /// each way, and the rest, which takes their results for further inputs, after its own. nil where there is no such
    /// step.
    /// - Parameter ways: those of the inputs, nil for inputs of the whole's size.
    func split(by ways: [Broadcast?]) -> PointwiseSplit? {
        guard ways.contains(where: { $0 != nil }) else { return nil }
        var ways = ways
        for step in steps { ways.append(ways[step.first] == ways[step.second] ? ways[step.first] : nil) }
        // Values of narrow steps that are used beside others.
        var ends: [Int] = []
        func note(_ value: Int) { if value >= inputs, !ends.contains(value) { ends.append(value) } }
        for (index, step) in steps.enumerated() where ways[inputs + index] == nil {
            if ways[step.first] != nil { note(step.first) }
            if ways[step.second] != nil { note(step.second) }
        }
        for result in results where ways[result] != nil { note(result) }
        guard !ends.isEmpty else { return nil }
        var parts: [PointwiseSplit.Part] = []
        var order: [Int] = []
        for end in ends where !order.contains(end) {
            let alike = ends.filter { ways[$0] == ways[end] }
            let (program, sources) = asking(for: alike).pruned()
            parts.append(PointwiseSplit.Part(program: program, sources: sources))
            order += alike
        }
        var rest = PointwiseProgram(inputs: inputs + order.count)
        var places = Array(0..<inputs) + [Int](repeating: -1, count: steps.count)
        for (index, end) in order.enumerated() { places[end] = inputs + index }
        for (index, step) in steps.enumerated() where ways[inputs + index] == nil {
            places[inputs + index] = rest.add(
                step.operation, places[step.first], places[step.second], constant: step.constant)
        }
        rest.results = results.map { places[$0] }
        let (program, sources) = rest.pruned()
        return PointwiseSplit(parts: parts, rest: PointwiseSplit.Part(program: program, sources: sources))
    }
}

/// A program in parts; see ``PointwiseProgram/split(by:)``.
struct PointwiseSplit {
    struct Part {
        let program: PointwiseProgram
        /// The inputs that it takes.
        let sources: [Int]
    }

    let parts: [Part]
    let rest: Part
}
