import Foundation
import Support

/// Rules for values of each type.
extension SchemaCompiler {
    // MARK: Numbers and strings

    func number(
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
    func count(
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

    func string(_ parts: [SchemaPart], from start: State, _ json: inout JSONGrammar) throws -> State {
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

    mutating func array(
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

    static func properties(_ part: SchemaPart) throws -> JSONObject? {
        guard let value = part["properties"] else { return nil }
        guard let object = value.objectValue else { throw part.malformed("properties", "an object of schemas", value) }
        return object
    }

    func requiredNames(_ parts: [SchemaPart]) throws -> [String] {
        try parts.flatMap { part -> [String] in
            guard let value = part["required"] else { return [] }
            let names = value.arrayValue?.compactMap(\.stringValue)
            guard let names, names.count == value.arrayValue?.count else {
                throw part.malformed("required", "an array of names", value)
            }
            return names
        }
    }

    mutating func object(
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
