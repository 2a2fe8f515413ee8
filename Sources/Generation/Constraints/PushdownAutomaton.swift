/// A pushdown automaton over bytes: finite automata, its rules, that call one another (a recursive transition network).
struct PushdownAutomaton: Sendable {
    /// Bytes that lead to another state.
    struct Edge: Sendable {
        var low, high: UInt8
        var target: Int32
    }

    /// A rule whose text stands here, and the state behind it.
    struct Call: Sendable { var rule, back: Int32 }

    struct State: Sendable {
        var edges: [Edge] = []
        /// States that are reached without a byte.
        var silent: [Int32] = []
        var calls: [Call] = []
        /// Whether its rule may end here.
        var isEnd = false
        /// Characters of a string that may follow whatever they are, as long as they need no escape; 0 elsewhere.
        var room: Int32 = 0

        /// Whether nothing but its rule's end comes behind it.
        var isBareEnd: Bool { isEnd && edges.isEmpty && silent.isEmpty && calls.isEmpty }
    }

    private(set) var states: [State]
    /// The state that each rule begins with.
    private(set) var starts: [Int32]
    /// The rule of whole texts.
    let root: Int32
    /// The class of each byte: those of one class lead to the same states everywhere.
    private(set) var classes: [UInt8] = []
    /// A byte of each class.
    private(set) var representatives: [UInt8] = []

    /// - Throws: ``ConstraintError/unsatisfiable(pointer:)`` where `root` has no text.
    init(states: [State], starts: [Int32], root: Int32) throws {
        (self.states, self.starts, self.root) = (states, starts, root)
        try dropDeadEnds()
        classify()
    }

    /// Takes out all ways that lead to no end, so that whatever is begun can be completed.
    private mutating func dropDeadEnds() throws {
        // Backwards from the ends: who is waiting for which state, and for which rule's beginning.
        var before = [[Int32]](repeating: [], count: states.count)
        var callers = [[(state: Int32, back: Int32)]](repeating: [], count: starts.count)
        for (state, value) in states.enumerated() {
            for target in value.edges.map(\.target) + value.silent { before[Int(target)].append(Int32(state)) }
            for call in value.calls {
                before[Int(call.back)].append(Int32(state))
                callers[Int(call.rule)].append((Int32(state), call.back))
            }
        }
        var ruleAt = [Int32: Int](minimumCapacity: starts.count)
        for (rule, start) in starts.enumerated() { ruleAt[start] = rule }
        var isAlive = [Bool](repeating: false, count: states.count)
        var isRuleAlive = [Bool](repeating: false, count: starts.count)
        var work: [Int32] = []
        func revive(_ state: Int32) {
            guard !isAlive[Int(state)] else { return }
            isAlive[Int(state)] = true
            work.append(state)
        }
        for (state, value) in states.enumerated() where value.isEnd { revive(Int32(state)) }
        while let state = work.popLast() {
            if let rule = ruleAt[state], !isRuleAlive[rule] {
                isRuleAlive[rule] = true
                for caller in callers[rule] where isAlive[Int(caller.back)] { revive(caller.state) }
            }
            for earlier in before[Int(state)] {
                let value = states[Int(earlier)]
                let leads =
                    value.edges.contains { $0.target == state } || value.silent.contains(state)
                    || value.calls.contains { $0.back == state && isRuleAlive[Int($0.rule)] }
                if leads { revive(earlier) }
            }
        }
        guard isRuleAlive[Int(root)] else { throw ConstraintError.unsatisfiable(pointer: "#") }
        for state in states.indices {
            states[state].edges.removeAll { !isAlive[Int($0.target)] }
            states[state].silent.removeAll { !isAlive[Int($0)] }
            states[state].calls.removeAll { !isAlive[Int($0.back)] || !isRuleAlive[Int($0.rule)] }
        }
    }

    private mutating func classify() {
        var begins = [Bool](repeating: false, count: 257)
        begins[0] = true
        for edge in states.lazy.flatMap(\.edges) {
            begins[Int(edge.low)] = true
            begins[Int(edge.high) + 1] = true
        }
        for byte in 0..<256 {
            if begins[byte] { representatives.append(UInt8(byte)) }
            classes.append(UInt8(representatives.count - 1))
        }
    }
}
