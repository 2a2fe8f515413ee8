import Foundation
import Support

/// Turns a JSON Schema into rules of a grammar. What a schema leaves open is settled so that all that is generated is valid, though not
/// all that is valid can be generated: members stand in the schema's order, others come only where `additionalProperties` or
/// an object without any `properties` lets them.
///
/// A value is described by several schemas at once (`allOf`, `$ref` beside others, a branch of `anyOf`), which are its parts. A rule is
/// made for each set of parts that is met, once, so that recursion ends.
struct SchemaCompiler {
    typealias Rule = AutomatonBuilder.Rule
    typealias State = AutomatonBuilder.State

    let document: SchemaPart
    var rules: [[SchemaPart.Key]: Rule] = [:]
    /// Rules that have no text yet.
    var pending: [(parts: [SchemaPart], start: State, rule: Rule)] = []
    /// Rules that others begin with, at the places where they do.
    var beginnings: [Rule: [Rule]] = [:]
    var places: [Rule: SchemaPlace] = [:]

    /// The most rules of a schema.
    static let mostRules = 20_000
    /// The most members of an array that are counted, and characters of a string.
    static let mostItems = 4096
    static let mostCharacters = 65_536
    /// The most references that lead to one another.
    static let mostReferences = 64
    /// The most parts that one value has.
    static let mostParts = 64
    /// The most values of `enum`, and schemas of `oneOf`.
    static let mostValues = 4096
    static let mostExclusive = 100

    /// - Parameter name: stands before the places that errors name.
    init(_ schema: JSONValue, name: String = "") {
        document = SchemaPart(schema: schema, place: SchemaPlace(step: name + "#"))
    }

    /// The rule of the whole; it has a text once ``compile(_:)`` was called.
    mutating func root(_ json: inout JSONGrammar) throws -> Rule {
        try rule([document], &json)
    }

    mutating func compile(_ json: inout JSONGrammar) throws {
        while let next = pending.popLast() {
            let end = try json.builder.state()
            json.builder.end(end)
            try compile(next.parts, next.rule, from: next.start, to: end, &json)
        }
        try checkBeginnings()
    }

    /// The rule of values that all `parts` are true of: one for all that come to the same, so that a schema which says something twice is
    /// not ambiguous by it.
    mutating func rule(_ given: [SchemaPart], _ json: inout JSONGrammar) throws -> Rule {
        guard let parts = try expanded(given) else {
            // A rule without a text.
            return try json.builder.rule().rule
        }
        if parts.isEmpty { return try json.anyValue() }
        let key = parts.map(\.key)
        if let rule = rules[key] { return rule }
        guard rules.count < Self.mostRules else {
            throw ConstraintError.tooLarge(what: "it has too many parts", limit: Self.mostRules)
        }
        let (rule, start) = try json.builder.rule()
        (rules[key], places[rule]) = (rule, parts[0].place)
        pending.append((parts, start, rule))
        return rule
    }

    /// A rule that begins with another one without end has no text.
    func checkBeginnings() throws {
        var state: [Rule: Bool] = [:]
        for first in beginnings.keys where state[first] == nil {
            var path: [(rule: Rule, next: Int)] = [(first, 0)]
            state[first] = false
            while let (rule, next) = path.last {
                let others = beginnings[rule] ?? []
                guard next < others.count else {
                    state[rule] = true
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                switch state[others[next]] {
                case true: break
                case false:
                    throw ConstraintError.malformed(
                        pointer: places[rule]?.pointer ?? "#", expected: "a schema that says something",
                        found: "a reference to itself")
                case nil:
                    state[others[next]] = false
                    path.append((others[next], 0))
                }
            }
        }
    }

    // MARK: Parts

    /// All parts, with those that references and `allOf` lead to; nil where one of them is false.
    func expanded(_ parts: [SchemaPart]) throws -> [SchemaPart]? {
        var work = parts.reversed().map { (part: $0, chain: [ObjectIdentifier($0.place)]) }
        var result: [SchemaPart] = []
        var seen: Set<SchemaPart.Key> = []
        while let (next, chain) = work.popLast() {
            var part = next
            try part.check()
            if part.schema == false { return nil }
            guard seen.insert(part.key).inserted else { continue }
            guard result.count + work.count < Self.mostParts else {
                throw ConstraintError.tooLarge(what: "too many schemas stand in one place", limit: Self.mostParts)
            }
            if let reference = part["$ref"] {
                let target = try resolved(reference, part)
                let place = ObjectIdentifier(target.place)
                guard !chain.contains(place), chain.count < Self.mostReferences else {
                    throw part.malformed("$ref", "a reference that leads to a schema", reference)
                }
                work.append((target, chain + [place]))
                part.done.insert("$ref")
            }
            if let all = part["allOf"] {
                guard let schemas = all.arrayValue, !schemas.isEmpty else {
                    throw part.malformed("allOf", "an array of schemas", all)
                }
                for (index, schema) in schemas.enumerated().reversed() {
                    work.append((part.below(schema, "allOf", "\(index)"), chain))
                }
                part.done.insert("allOf")
            }
            if !part.isSpent { result.append(part) }
        }
        return result
    }

    func resolved(_ reference: JSONValue, _ part: SchemaPart) throws -> SchemaPart {
        guard let text = reference.stringValue else { throw part.malformed("$ref", "a string", reference) }
        guard text == "#" || text.hasPrefix("#/") else {
            throw part.unsupported("$ref", "is supported within the schema alone, as #/$defs/name")
        }
        var found = document
        for step in text.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let name = (step.removingPercentEncoding ?? String(step))
                .replacingOccurrences(of: "~1", with: "/").replacingOccurrences(of: "~0", with: "~")
            let values = found.schema.arrayValue ?? []
            let item = Int(name).flatMap { values.indices.contains($0) ? values[$0] : nil }
            guard let next = item ?? found.schema[name] else {
                throw part.malformed("$ref", "a part of the schema", reference)
            }
            found = found.below(next, name)
        }
        return found
    }

    // MARK: Rules

    mutating func compile(
        _ parts: [SchemaPart], _ rule: Rule, from start: State, to end: State, _ json: inout JSONGrammar
    ) throws {
        for (index, part) in parts.enumerated() {
            for keyword in ["anyOf", "oneOf"] {
                guard let list = part[keyword] else { continue }
                guard let schemas = list.arrayValue, !schemas.isEmpty else {
                    throw part.malformed(keyword, "an array of schemas", list)
                }
                if keyword == "oneOf" { try checkDisjoint(schemas, part) }
                var rest = parts
                rest[index].done.insert(keyword)
                var branches: Set<Rule> = []
                for (number, schema) in schemas.enumerated() {
                    let branch = try self.rule(rest + [part.below(schema, keyword, "\(number)")], &json)
                    guard branches.insert(branch).inserted else { continue }
                    json.builder.call(start, branch, end)
                    beginnings[rule, default: []].append(branch)
                }
                return
            }
        }
        let types = try types(parts)
        if let values = try values(parts, types) {
            for value in values { json.builder.link(try json.value(value, from: start), end) }
            return
        }
        for type in types {
            switch type {
            case .null: json.builder.link(try json.builder.text("null", from: start), end)
            case .boolean:
                for text in ["true", "false"] { json.builder.link(try json.builder.text(text, from: start), end) }
            case .integer, .number:
                json.builder.link(try number(parts, isInteger: type == .integer, from: start, &json), end)
            case .string: json.builder.link(try string(parts, from: start, &json), end)
            case .array: json.builder.link(try array(parts, from: start, &json), end)
            case .object: json.builder.link(try object(parts, from: start, &json), end)
            }
        }
    }
}
