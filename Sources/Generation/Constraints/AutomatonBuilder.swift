/// Builds a ``PushdownAutomaton`` state by state. All methods throw ``ConstraintError/tooLarge(what:limit:)`` where it grows too
/// large.
struct AutomatonBuilder {
    typealias State = Int32
    typealias Rule = Int32

    /// The most states of an automaton.
    static let mostStates = 1 << 18

    private var states: [PushdownAutomaton.State] = []
    private var starts: [State] = []
    /// Rules of characters of strings, by what they may be.
    private var characterRules: [ScalarSet: Rule] = [:]
    private var anyCharacterRule: Rule?

    func automaton(root: Rule) throws -> PushdownAutomaton {
        try PushdownAutomaton(states: states, starts: starts, root: root)
    }

    // MARK: States

    mutating func state() throws -> State {
        guard states.count < Self.mostStates else {
            throw ConstraintError.tooLarge(what: "its automaton has too many states", limit: Self.mostStates)
        }
        states.append(.init())
        return State(states.count - 1)
    }

    /// A rule, whose text is yet to come, and the state that it begins with.
    mutating func rule() throws -> (rule: Rule, start: State) {
        let start = try state()
        starts.append(start)
        return (Rule(starts.count - 1), start)
    }

    /// A rule whose text is what `body` says of a state: it returns the state behind it.
    mutating func rule(_ body: (inout AutomatonBuilder, State) throws -> State) throws -> Rule {
        let (rule, start) = try rule()
        end(try body(&self, start))
        return rule
    }

    /// A rule may end in `state`.
    mutating func end(_ state: State) { states[Int(state)].isEnd = true }

    mutating func link(_ state: State, _ target: State) { states[Int(state)].silent.append(target) }

    mutating func edge(_ state: State, _ bytes: ClosedRange<UInt8>, _ target: State) {
        states[Int(state)].edges.append(.init(low: bytes.lowerBound, high: bytes.upperBound, target: target))
    }

    mutating func call(_ state: State, _ rule: Rule, _ target: State) {
        states[Int(state)].calls.append(.init(rule: rule, back: target))
    }

    /// Any `room` characters that need no escape may follow `state`.
    mutating func setRoom(_ state: State, _ room: Int32) { states[Int(state)].room = room }

    // MARK: Pieces of text, from a state to the one behind them

    mutating func bytes(_ text: some Sequence<UInt8>, from state: State) throws -> State {
        var state = state
        for byte in text {
            let next = try self.state()
            edge(state, byte...byte, next)
            state = next
        }
        return state
    }

    mutating func text(_ text: String, from state: State) throws -> State { try bytes(text.utf8, from: state) }

    mutating func calling(_ rule: Rule, from state: State) throws -> State {
        let next = try self.state()
        call(state, rule, next)
        return next
    }

    /// White space between the parts of a value: none, a space, or a line's end and at most 20 spaces.
    mutating func space(from state: State) throws -> State {
        let next = try self.state()
        link(state, next)
        edge(state, 0x20...0x20, next)
        var line = try self.state()
        edge(state, 0x0A...0x0A, line)
        link(line, next)
        for _ in 0..<Self.mostIndentation {
            let further = try self.state()
            edge(line, 0x20...0x20, further)
            link(further, next)
            line = further
        }
        return next
    }

    private static let mostIndentation = 20

    /// `least` to `most` digits.
    mutating func digits(_ least: Int, _ most: Int, from state: State) throws -> State {
        let end = try self.state()
        var state = state
        for count in 0...most {
            if count >= least { link(state, end) }
            guard count < most else { break }
            let next = try self.state()
            edge(state, 0x30...0x39, next)
            state = next
        }
        return end
    }

    // MARK: Characters

    /// UTF-8 of a scalar of `set`.
    mutating func scalars(_ set: ScalarSet, from state: State, to target: State) throws {
        for range in set.byteRanges {
            var state = state
            for (index, bytes) in range.enumerated() {
                let next = index == range.count - 1 ? target : try self.state()
                edge(state, bytes, next)
                state = next
            }
        }
    }

    /// One character of `set` in a JSON string, written in one way.
    mutating func character(of set: ScalarSet) throws -> Rule {
        if let rule = characterRules[set] { return rule }
        let (rule, start) = try rule()
        characterRules[set] = rule
        let last = try state()
        end(last)
        try scalars(set.intersection(.unescaped), from: start, to: last)
        let escaped = set.subtracting(.unescaped)
        guard !escaped.isEmpty else { return rule }
        let slash = try bytes("\\".utf8, from: start)
        for scalar in escaped.ranges.lazy.flatMap({ $0 }) {
            let text: String
            switch scalar {
            case 0x22, 0x5C: text = String(UnicodeScalar(UInt8(scalar)))
            case 0x08: text = "b"
            case 0x09: text = "t"
            case 0x0A: text = "n"
            case 0x0C: text = "f"
            case 0x0D: text = "r"
            default: text = "u00" + (scalar < 16 ? "0" : "") + String(scalar, radix: 16)
            }
            link(try self.text(text, from: slash), last)
        }
        return rule
    }

    /// One character of a JSON string, written in any way.
    mutating func anyCharacter() throws -> Rule {
        if let anyCharacterRule { return anyCharacterRule }
        let (rule, start) = try rule()
        anyCharacterRule = rule
        let last = try state()
        end(last)
        try scalars(.unescaped, from: start, to: last)
        let slash = try bytes("\\".utf8, from: start)
        for letter in "\"\\/bfnrt".utf8 { edge(slash, letter...letter, last) }
        let unicode = try bytes("u".utf8, from: slash)
        func hexadecimal(_ builder: inout AutomatonBuilder, _ state: State, _ digits: String, _ target: State) {
            for digit in digits.utf8 { builder.edge(state, digit...digit, target) }
        }
        let (all, three, two, one) = ("0123456789abcdefABCDEF", try state(), try state(), try state())
        hexadecimal(&self, unicode, "0123456789abcefABCEF", three)
        hexadecimal(&self, three, all, two)
        hexadecimal(&self, two, all, one)
        hexadecimal(&self, one, all, last)
        // d800 to dfff are halves of pairs, of which both must be there.
        let d = try state()
        hexadecimal(&self, unicode, "dD", d)
        hexadecimal(&self, d, "01234567", two)
        let high = try state()
        hexadecimal(&self, d, "89abAB", high)
        var pair = high
        for _ in 0..<2 {
            let next = try state()
            hexadecimal(&self, pair, all, next)
            pair = next
        }
        pair = try text("\\u", from: pair)
        let low = try state()
        hexadecimal(&self, pair, "dD", low)
        // Two digits are left, as of other characters.
        hexadecimal(&self, low, "cdefCDEF", two)
        return rule
    }
}
