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
    private(set) var inputs: Int
    private(set) var steps: [Step] = []
    /// The values that are asked for.
    private(set) var results: [Int] = []
    private var known: [Step: Int] = [:]

    private init(inputs: Int) { self.inputs = inputs }

    /// The program of one expression.
    init(_ expression: Pointwise, inputs: Int) {
        self.init(inputs: inputs)
        var values: [ObjectIdentifier: Int] = [:]
        results = [value(of: expression.node, &values)]
    }

    private mutating func value(of node: Pointwise.Node, _ values: inout [ObjectIdentifier: Int]) -> Int {
        if let value = values[ObjectIdentifier(node)] { return value }
        let found: Int
        switch node.kind {
        case .input(let index): found = index
        case .operation(let operation, let operands, let constant):
            let places = operands.map { value(of: $0, &values) }
            found = add(operation, places[0], places.count > 1 ? places[1] : nil, constant: constant)
        }
        values[ObjectIdentifier(node)] = found
        return found
    }

    /// The value of a step, which is added where there is no such step yet.
    @discardableResult
    mutating func add(
        _ operation: PointwiseOperation, _ first: Int, _ second: Int? = nil, constant: Float = 0
    ) -> Int {
        let step = Step(operation: operation, first: first, second: second ?? first, constant: constant)
        if let value = known[step] { return value }
        steps.append(step)
        known[step] = inputs + steps.count - 1
        return inputs + steps.count - 1
    }

    /// The program of the gradients of `wanted` inputs of a program of one result. Its inputs are those of this one that it
    /// reads, `sources`, and the gradient of the result where `sources` has nil. A result is nil where an input has no part in this
    /// program's result.
    func gradients(of wanted: [Int]) -> (program: PointwiseProgram, sources: [Int?], results: [Int?]) {
        // The gradient is one more input, after the others.
        var program = PointwiseProgram(inputs: inputs + 1)
        func moved(_ value: Int) -> Int { value < inputs ? value : value + 1 }
        for step in steps {
            program.add(step.operation, moved(step.first), moved(step.second), constant: step.constant)
        }
        var gradients: [Int: Int] = [moved(results[0]): inputs]
        func pass(_ gradient: Int?, to value: Int) {
            guard let gradient else { return }
            gradients[value] = gradients[value].map { program.add(.add, $0, gradient) } ?? gradient
        }
        for index in steps.indices.reversed() {
            let (step, value) = (program.steps[index], inputs + 1 + index)
            guard let gradient = gradients[value] else { continue }
            let found = program.gradients(of: step, result: value, gradient)
            pass(found.first, to: step.first)
            if step.operation.operands > 1 { pass(found.second, to: step.second) }
        }
        let found = wanted.map { gradients[$0] }
        program.results = found.compactMap { $0 }
        let used = program.prune()
        var next = 0
        let results = found.map { gradient -> Int? in
            guard gradient != nil else { return nil }
            defer { next += 1 }
            return next
        }
        return (program, used.map { $0 < inputs ? $0 : nil }, results)
    }

    /// Asks for these values and no others. All inputs and steps stay.
    mutating func ask(for values: [Int]) { results = values }

    /// The same steps with other constants. Steps that become the same stay apart.
    func replacingConstants(_ constant: (Float) -> Float) -> PointwiseProgram {
        var program = self
        program.known = [:]
        program.steps = steps.map {
            Step(operation: $0.operation, first: $0.first, second: $0.second, constant: constant($0.constant))
        }
        return program
    }

    /// Leaves out steps and inputs that no result needs, and gives the inputs that stay.
    private mutating func prune() -> [Int] {
        var needed = Set(results)
        for index in steps.indices.reversed() where needed.contains(inputs + index) {
            needed.insert(steps[index].first)
            needed.insert(steps[index].second)
        }
        let used = (0..<inputs).filter(needed.contains)
        var places = Dictionary(uniqueKeysWithValues: zip(used, 0...))
        var pruned = PointwiseProgram(inputs: used.count)
        for (index, step) in steps.enumerated() where needed.contains(inputs + index) {
            // All that a needed step reads is needed.
            guard let first = places[step.first], let second = places[step.second] else { continue }
            places[inputs + index] = pruned.add(step.operation, first, second, constant: step.constant)
        }
        pruned.results = results.compactMap { places[$0] }
        self = pruned
        return used
    }

    public static func == (one: PointwiseProgram, other: PointwiseProgram) -> Bool {
        one.inputs == other.inputs && one.steps == other.steps && one.results == other.results
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(inputs)
        hasher.combine(steps)
        hasher.combine(results)
    }
}
