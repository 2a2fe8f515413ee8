import Support

/// Rules of JSON (RFC 8259) that need no schema. Numbers have at most 15 digits before the point, 16 behind it and 2 of an exponent, so that
/// all readers can hold them and a text cannot go on for ever.
struct JSONGrammar {
    typealias State = AutomatonBuilder.State
    typealias Rule = AutomatonBuilder.Rule

    var builder = AutomatonBuilder()
    private var rules: [String: Rule] = [:]

    static let mostDigits = 15
    static let mostDecimals = 16

    /// The rule of this name, made by `body` when it is first asked for.
    private mutating func rule(
        _ name: String, _ body: (inout JSONGrammar, State) throws -> State
    ) throws -> Rule {
        if let rule = rules[name] { return rule }
        let (rule, start) = try builder.rule()
        rules[name] = rule
        builder.end(try body(&self, start))
        return rule
    }

    // MARK: Values

    mutating func anyValue() throws -> Rule {
        try rule("value") { json, start in
            let next = try json.builder.state()
            for text in ["null", "true", "false"] {
                json.builder.link(try json.builder.text(text, from: start), next)
            }
            for rule in [
                try json.anyString(), try json.number(), try json.anyArray(), try json.anyObject(),
            ] { json.builder.call(start, rule, next) }
            return next
        }
    }

    mutating func anyObject() throws -> Rule {
        try rule("object") { json, start in
            try json.object(
                [], additional: (key: try json.anyString(), value: try json.anyValue()), from: start)
        }
    }

    mutating func anyArray() throws -> Rule {
        try rule("array") { json, start in
            let item = try json.anyValue()
            return try json.array([], rest: item, count: 0...Int.max, from: start)
        }
    }

    mutating func anyString() throws -> Rule {
        try rule("string") { json, start in try json.string(0...Int.max, from: start) }
    }

    mutating func number() throws -> Rule {
        try rule("number") { json, start in
            var state = try json.whole(from: start)
            let (fraction, exponent) = (try json.builder.state(), try json.builder.state())
            json.builder.link(state, fraction)
            state = try json.builder.bytes(".".utf8, from: state)
            json.builder.link(try json.builder.digits(1, Self.mostDecimals, from: state), fraction)
            json.builder.link(fraction, exponent)
            let (letter, sign) = (try json.builder.state(), try json.builder.state())
            for byte in "eE".utf8 { json.builder.edge(fraction, byte...byte, letter) }
            json.builder.link(letter, sign)
            for byte in "+-".utf8 { json.builder.edge(letter, byte...byte, sign) }
            json.builder.link(try json.builder.digits(1, 2, from: sign), exponent)
            return exponent
        }
    }

    mutating func integer() throws -> Rule { try rule("integer") { json, start in try json.whole(from: start) } }

    /// An integer.
    private mutating func whole(from start: State) throws -> State {
        let (unsigned, next, more) = (try builder.state(), try builder.state(), try builder.state())
        builder.link(start, unsigned)
        builder.edge(start, 0x2D...0x2D, unsigned)
        builder.edge(unsigned, 0x30...0x30, next)
        builder.edge(unsigned, 0x31...0x39, more)
        builder.link(try builder.digits(0, Self.mostDigits - 1, from: more), next)
        return next
    }

    /// A string of so many characters.
    mutating func string(_ count: ClosedRange<Int>, from start: State) throws -> State {
        let character = try builder.anyCharacter()
        var state = try builder.bytes("\"".utf8, from: start)
        let next = try builder.state()
        for place in 0... {
            if place >= count.lowerBound { builder.edge(state, 0x22...0x22, next) }
            guard place < count.upperBound else { break }
            builder.setRoom(state, Int32(clamping: count.upperBound - place))
            if count.upperBound == .max, place >= count.lowerBound {
                builder.call(state, character, state)
                break
            }
            state = try builder.calling(character, from: state)
        }
        return next
    }

    /// A value that is known, with white space where others have it.
    mutating func value(_ value: JSONValue, from start: State) throws -> State {
        switch value {
        case .array(let values):
            let rules = try values.map { try constant($0) }
            return try array(rules, rest: nil, count: values.count...values.count, from: start)
        case .object(let object):
            let members = try object.pairs.map { Member(name: $0.key, value: try constant($0.value), isRequired: true) }
            return try self.object(members, additional: nil, from: start)
        default: return try builder.text(value.text(), from: start)
        }
    }

    private mutating func constant(_ value: JSONValue) throws -> Rule {
        let (rule, start) = try builder.rule()
        builder.end(try self.value(value, from: start))
        return rule
    }

    // MARK: Containers

    /// A member of an object whose name is known.
    struct Member {
        var name: String
        /// The rule of its value.
        var value: Rule
        var isRequired: Bool
    }

    /// An object with members in this order, of which those that are not required may be left out, and then others.
    mutating func object(
        _ members: [Member], additional: (key: Rule, value: Rule)?, from start: State
    ) throws -> State {
        // Where nothing was written yet, and where something was.
        let first = try builder.space(from: try builder.bytes("{".utf8, from: start))
        var later: State?
        let close = try builder.state()
        func comma(_ json: inout JSONGrammar, _ state: State) throws -> State {
            try json.builder.space(from: try json.builder.bytes(",".utf8, from: state))
        }
        func value(_ json: inout JSONGrammar, _ rule: Rule, _ state: State) throws -> State {
            let colon = try json.builder.space(from: try json.builder.bytes(":".utf8, from: state))
            return try json.builder.calling(rule, from: colon)
        }
        var isPossiblyEmpty = true
        for member in members {
            let begin = try builder.state()
            if isPossiblyEmpty { builder.link(first, begin) }
            if let later { builder.link(try comma(&self, later), begin) }
            let name = try builder.text(JSONValue.string(member.name).text(), from: begin)
            let written = try value(&self, member.value, name)
            if let later, !member.isRequired { builder.link(later, written) }
            if member.isRequired { isPossiblyEmpty = false }
            later = written
        }
        if let additional {
            let begin = try builder.state()
            if isPossiblyEmpty { builder.link(first, begin) }
            let written = try value(&self, additional.value, try builder.calling(additional.key, from: begin))
            if let later { builder.link(later, written) }
            builder.link(try comma(&self, written), begin)
            later = written
        }
        if isPossiblyEmpty { builder.edge(first, 0x7D...0x7D, close) }
        if let later { builder.edge(try builder.space(from: later), 0x7D...0x7D, close) }
        return close
    }

    /// An array that begins with `prefix`, or with as much of it as there are items, and goes on with `rest`.
    mutating func array(
        _ prefix: [Rule], rest: Rule?, count: ClosedRange<Int>, from start: State
    ) throws -> State {
        var state = try builder.space(from: try builder.bytes("[".utf8, from: start))
        let close = try builder.state()
        for place in 0... {
            if place >= count.lowerBound {
                builder.edge(place == 0 ? state : try builder.space(from: state), 0x5D...0x5D, close)
            }
            guard place < count.upperBound, let item = place < prefix.count ? prefix[place] : rest else { break }
            let before = place == 0 ? state : try builder.space(from: try builder.bytes(",".utf8, from: state))
            if count.upperBound == .max, place >= max(prefix.count, count.lowerBound, 1) {
                builder.call(before, item, state)
                break
            }
            state = try builder.calling(item, from: before)
        }
        return close
    }

    /// The key of a member whose name is none of `names`, without escapes.
    mutating func key(otherThan names: [String]) throws -> Rule {
        guard !names.isEmpty else { return try anyString() }
        let (rule, start) = try builder.rule()
        let (free, last) = (try builder.state(), try builder.state())
        builder.end(last)
        builder.call(free, try builder.character(of: .unescaped), free)
        builder.edge(free, 0x22...0x22, last)
        builder.setRoom(free, .max)
        var nodes: [NameNode] = [NameNode(state: try builder.bytes("\"".utf8, from: start))]
        for name in names {
            var node = 0
            for scalar in name.unicodeScalars.lazy.map(\.value) {
                if let next = nodes[node].children[scalar] {
                    node = next
                } else {
                    nodes.append(NameNode(state: try builder.state()))
                    nodes[node].children[scalar] = nodes.count - 1
                    node = nodes.count - 1
                }
            }
            nodes[node].isName = true
        }
        for node in nodes {
            let others = ScalarSet(node.children.keys.map { $0...$0 })
            builder.call(node.state, try builder.character(of: .unescaped.subtracting(others)), free)
            for (scalar, child) in node.children {
                try builder.scalars(
                    ScalarSet([scalar...scalar]).intersection(.unescaped), from: node.state, to: nodes[child].state)
            }
            if !node.isName { builder.edge(node.state, 0x22...0x22, last) }
        }
        return rule
    }

    /// A beginning of names.
    private struct NameNode {
        var state: State
        var children: [UInt32: Int] = [:]
        var isName = false
    }
}
