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

    private let document: SchemaPart
    private var rules: [[SchemaPart.Key]: Rule] = [:]
    /// Rules that have no text yet.
    private var pending: [(parts: [SchemaPart], start: State, rule: Rule)] = []
    /// Rules that others begin with, at the places where they do.
    private var beginnings: [Rule: [Rule]] = [:]
    private var places: [Rule: SchemaPlace] = [:]

    /// The most rules of a schema.
    static let mostRules = 20_000
    /// The most members of an array that are counted, and characters of a string.
    static let mostItems = 4096
    static let mostCharacters = 65_536
    /// The most references that lead to one another.
    private static let mostReferences = 64
    /// The most parts that one value has.
    private static let mostParts = 64
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
    private mutating func rule(_ given: [SchemaPart], _ json: inout JSONGrammar) throws -> Rule {
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
    private func checkBeginnings() throws {
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
    private func expanded(_ parts: [SchemaPart]) throws -> [SchemaPart]? {
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

    private func resolved(_ reference: JSONValue, _ part: SchemaPart) throws -> SchemaPart {
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

    private mutating func compile(
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

    // MARK: Types and known values

    /// The types that all parts let a value have; those that keywords speak of where no part names any.
    private func types(_ parts: [SchemaPart]) throws -> [SchemaType] {
        var named: Set<SchemaType>?
        for part in parts {
            guard let types = try Self.types(part) else { continue }
            guard let before = named else {
                named = types
                continue
            }
            var both = before.intersection(types)
            // Integers are numbers.
            if before.contains(.integer) && types.contains(.number)
                || before.contains(.number) && types.contains(.integer)
            {
                both.insert(.integer)
            }
            named = both
        }
        if let named {
            let isNumber = named.contains(.number)
            return SchemaType.allCases.filter { named.contains($0) && !($0 == .integer && isNumber) }
        }
        let spoken = Set(
            parts.flatMap { part in part.schema.objectValue?.keys.compactMap { SchemaKeywords.kinds[$0] } ?? [] })
        return SchemaType.allCases.filter { spoken.isEmpty ? $0 != .integer : spoken.contains($0) }
    }

    private static func types(_ part: SchemaPart) throws -> Set<SchemaType>? {
        guard let value = part["type"] else { return nil }
        let names = value.arrayValue ?? [value]
        let types = names.compactMap { $0.stringValue.flatMap(SchemaType.init) }
        guard types.count == names.count, !types.isEmpty else {
            throw part.malformed(
                "type", "one or several of \(SchemaType.allCases.map(\.rawValue).joined(separator: ", "))", value)
        }
        return Set(types)
    }

    /// The values that `enum` and `const` leave; nil where neither is there.
    private func values(_ parts: [SchemaPart], _ types: [SchemaType]) throws -> [JSONValue]? {
        let named = try parts.compactMap { try Self.values($0) }
        guard var left = named.first else { return nil }
        for values in named.dropFirst() { left = left.filter(values.contains) }
        for part in parts {
            for keyword in part.schema.objectValue?.keys ?? [] where !part.done.contains(keyword) {
                guard let kind = SchemaKeywords.kinds[keyword] else { continue }
                guard left.allSatisfy({ !Self.hasType($0, kind) }) else {
                    throw part.unsupported(keyword, "is not supported beside enum and const")
                }
            }
        }
        let isTyped = try parts.contains { try Self.types($0) != nil }
        return isTyped ? left.filter { value in types.contains { Self.hasType(value, $0) } } : left
    }

    private static func values(_ part: SchemaPart) throws -> [JSONValue]? {
        if let value = part["enum"] {
            guard let values = value.arrayValue, (1...mostValues).contains(values.count) else {
                throw part.malformed("enum", "an array of 1 to \(mostValues) values", value)
            }
            guard let one = part["const"] else { return values }
            return values.filter { $0 == one }
        }
        return part["const"].map { [$0] }
    }

    private static func hasType(_ value: JSONValue, _ type: SchemaType) -> Bool {
        switch value {
        case .null: type == .null
        case .bool: type == .boolean
        case .object: type == .object
        case .array: type == .array
        case .string: type == .string
        case .integer: type == .number || type == .integer
        case .number(let number): type == .number || type == .integer && number == number.rounded()
        }
    }

    // MARK: oneOf

    /// A value may be valid by one of the schemas alone, which must therefore be told apart by their types, by values that they name, or by
    /// those of a member that all require.
    private func checkDisjoint(_ schemas: [JSONValue], _ part: SchemaPart) throws {
        guard schemas.count <= Self.mostExclusive else {
            throw part.malformed("oneOf", "at most \(Self.mostExclusive) schemas", .array(schemas))
        }
        let expanded = try schemas.enumerated().map { index, schema in
            try self.expanded([part.below(schema, "oneOf", "\(index)")])
        }
        for (index, first) in expanded.enumerated() {
            for second in expanded[..<index] {
                guard let first, let second, try !areDisjoint(first, second) else { continue }
                throw part.unsupported(
                    "oneOf",
                    "is supported for schemas that differ in type, or in const or enum of a required member; write anyOf"
                )
            }
        }
    }

    private func areDisjoint(_ first: [SchemaPart], _ second: [SchemaPart]) throws -> Bool {
        guard ![first, second].joined().contains(where: { $0["anyOf"] != nil || $0["oneOf"] != nil }) else {
            return false
        }
        let (values, others) = (try values(first), try values(second))
        if let values, let others { return !values.contains(where: others.contains) }
        guard let types = try kinds(first), let otherTypes = try kinds(second) else { return false }
        if types.isDisjoint(with: otherTypes) { return true }
        guard types == [.object], otherTypes == [.object] else { return false }
        let required = try Set(requiredNames(first)).intersection(requiredNames(second))
        return try required.contains { name in
            func known(_ parts: [SchemaPart]) throws -> [JSONValue]? {
                let member = try parts.compactMap { part in
                    try Self.properties(part)?[name].map { part.below($0, "properties", name) }
                }
                return try expanded(member)?.compactMap { try Self.values($0) }.first
            }
            guard let values = try known(first), let others = try known(second) else { return false }
            return !values.contains(where: others.contains)
        }
    }

    /// The first values that `enum` or `const` names.
    private func values(_ parts: [SchemaPart]) throws -> [JSONValue]? {
        try parts.compactMap { try Self.values($0) }.first
    }

    /// The kinds that values can have, of numbers one alone; nil where all can be.
    private func kinds(_ parts: [SchemaPart]) throws -> Set<SchemaType>? {
        if let values = try values(parts) {
            return Set(
                SchemaType.allCases.filter { kind in kind != .integer && values.contains { Self.hasType($0, kind) } })
        }
        guard try parts.contains(where: { try Self.types($0) != nil }) else { return nil }
        return Set(try types(parts).map { $0 == .integer ? .number : $0 })
    }

    // MARK: Numbers and strings

    private func number(
        _ parts: [SchemaPart], isInteger: Bool, from start: State, _ json: inout JSONGrammar
    ) throws -> State {
        var range = NumberRange()
        for part in parts {
            for (keyword, isLower, isExcluded) in [
                ("minimum", true, false), ("exclusiveMinimum", true, true), ("maximum", false, false),
                ("exclusiveMaximum", false, true),
            ] {
                guard let value = part[keyword] else { continue }
                guard value.doubleValue != nil, let bound = Decimal(string: value.text()),
                    abs(bound) < JSONGrammar.largestBound
                else { throw part.malformed(keyword, "a number between -1e15 and 1e15", value) }
                if isLower {
                    range.raise(bound, excluded: isExcluded)
                } else {
                    range.lower(bound, excluded: isExcluded)
                }
            }
        }
        if range.isBounded { return try json.number(range, isInteger: isInteger, from: start) }
        return try json.builder.calling(isInteger ? json.integer() : json.number(), from: start)
    }

    /// The largest of the lower bounds, or the smallest of the upper ones.
    private func count(
        _ parts: [SchemaPart], _ least: String, _ most: String, limit: Int
    ) throws -> ClosedRange<Int>? {
        var (low, high) = (0, Int.max)
        for part in parts {
            for keyword in [least, most] {
                guard let value = part[keyword] else { continue }
                guard let count = value.integerValue, (0...limit).contains(count) else {
                    throw part.malformed(keyword, "a whole number, 0 to \(limit)", value)
                }
                if keyword == least { low = max(low, count) } else { high = min(high, count) }
            }
        }
        return low <= high ? low...high : nil
    }

    private func string(_ parts: [SchemaPart], from start: State, _ json: inout JSONGrammar) throws -> State {
        var patterns: [(text: String, part: SchemaPart, keyword: String)] = []
        for part in parts {
            for keyword in ["pattern", "format"] {
                guard let value = part[keyword] else { continue }
                guard let text = value.stringValue else { throw part.malformed(keyword, "a string", value) }
                guard keyword == "format" else {
                    patterns.append((text, part, keyword))
                    continue
                }
                guard let pattern = SchemaKeywords.formats[text] else {
                    throw part.unsupported(
                        keyword,
                        "is supported as \(SchemaKeywords.formats.keys.sorted().joined(separator: ", "))")
                }
                patterns.append((pattern, part, keyword))
            }
        }
        let isCounted = parts.contains { $0["minLength"] != nil || $0["maxLength"] != nil }
        guard let first = patterns.first else {
            guard isCounted else { return try json.builder.calling(json.anyString(), from: start) }
            guard let count = try count(parts, "minLength", "maxLength", limit: Self.mostCharacters) else {
                // From this state nothing leads on.
                return try json.builder.state()
            }
            return try json.string(count, from: start)
        }
        guard patterns.allSatisfy({ $0.text == first.text }), !isCounted else {
            throw first.part.unsupported(first.keyword, "is not supported beside another one, minLength or maxLength")
        }
        do {
            return try json.string(PatternParser.pattern(first.text), from: start)
        } catch let fault as PatternParser.Fault {
            throw ConstraintError.unsupported(
                pointer: first.part.place.below(first.keyword).pointer,
                reason: "the pattern \(ForeignText.line(first.text, limit: 80)) is not understood: \(fault.reason)")
        }
    }

    // MARK: Arrays

    private mutating func array(
        _ parts: [SchemaPart], from start: State, _ json: inout JSONGrammar
    ) throws -> State {
        guard let count = try count(parts, "minItems", "maxItems", limit: Self.mostItems) else {
            return try json.builder.state()
        }
        var prefixes: [[JSONValue]] = []
        for part in parts {
            let prefix = part["prefixItems"]
            guard let schemas = prefix.map({ $0.arrayValue }) ?? [] else {
                throw part.malformed("prefixItems", "an array of schemas", prefix ?? .null)
            }
            if let items = part["items"], items.arrayValue != nil {
                throw part.malformed("items", "a schema; several are prefixItems", items)
            }
            prefixes.append(schemas)
        }
        let length = prefixes.map(\.count).max() ?? 0
        func item(_ place: Int, _ json: inout JSONGrammar, _ compiler: inout SchemaCompiler) throws -> Rule {
            try compiler.rule(
                zip(parts, prefixes).compactMap { part, prefix in
                    if place < prefix.count { return part.below(prefix[place], "prefixItems", "\(place)") }
                    return part["items"].map { part.below($0, "items") }
                }, &json)
        }
        let prefix = try (0..<min(length, count.upperBound)).map { try item($0, &json, &self) }
        // Others than those that are described come only where they must.
        let isOpen = length == 0 || count.lowerBound > length || parts.contains { $0["items"] != nil }
        let rest = isOpen && count.upperBound > length ? try item(length, &json, &self) : nil
        return try json.array(prefix, rest: rest, count: count, from: start)
    }

    // MARK: Objects

    private static func properties(_ part: SchemaPart) throws -> JSONObject? {
        guard let value = part["properties"] else { return nil }
        guard let object = value.objectValue else { throw part.malformed("properties", "an object of schemas", value) }
        return object
    }

    private func requiredNames(_ parts: [SchemaPart]) throws -> [String] {
        try parts.flatMap { part -> [String] in
            guard let value = part["required"] else { return [] }
            let names = value.arrayValue?.compactMap(\.stringValue)
            guard let names, names.count == value.arrayValue?.count else {
                throw part.malformed("required", "an array of names", value)
            }
            return names
        }
    }

    private mutating func object(
        _ parts: [SchemaPart], from start: State, _ json: inout JSONGrammar
    ) throws -> State {
        let properties = try parts.map { try Self.properties($0) }
        let required = try requiredNames(parts)
        var names: [String] = []
        var known: Set<[UInt8]> = []
        for name in properties.flatMap({ $0?.keys ?? [] }) + required where known.insert(Array(name.utf8)).inserted {
            names.append(name)
        }
        /// What a part says of members that it does not name.
        func others(_ part: SchemaPart) throws -> SchemaPart? {
            guard let schema = part["additionalProperties"] else { return nil }
            return part.below(schema, "additionalProperties")
        }
        let needed = Set(required.map { Array($0.utf8) })
        var members: [JSONGrammar.Member] = []
        for name in names {
            let schemas = try zip(parts, properties).compactMap { part, object in
                try object?[name].map { part.below($0, "properties", name) } ?? others(part)
            }
            let isRequired = needed.contains(Array(name.utf8))
            members.append(.init(name: name, value: try rule(schemas, &json), isRequired: isRequired))
        }
        let further = try parts.compactMap(others)
        // An object of whose members nothing is said may have any; else others are let in expressly.
        let isOpen = further.isEmpty ? required.isEmpty && properties.allSatisfy { $0 == nil } : true
        guard isOpen else { return try json.object(members, additional: nil, from: start) }
        let additional = (key: try json.key(otherThan: names), value: try rule(further, &json))
        return try json.object(members, additional: additional, from: start)
    }
}
