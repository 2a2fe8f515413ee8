import Foundation
import Support

/// Which types and values a schema lets a value have.
extension SchemaCompiler {
    /// The types that all parts let a value have; those that keywords speak of where no part names any.
    func types(_ parts: [SchemaPart]) throws -> [SchemaType] {
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

    static func types(_ part: SchemaPart) throws -> Set<SchemaType>? {
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
    func values(_ parts: [SchemaPart], _ types: [SchemaType]) throws -> [JSONValue]? {
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

    static func values(_ part: SchemaPart) throws -> [JSONValue]? {
        if let value = part["enum"] {
            guard let values = value.arrayValue, (1...mostValues).contains(values.count) else {
                throw part.malformed("enum", "an array of 1 to \(mostValues) values", value)
            }
            guard let one = part["const"] else { return values }
            return values.filter { $0 == one }
        }
        return part["const"].map { [$0] }
    }

    static func hasType(_ value: JSONValue, _ type: SchemaType) -> Bool {
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
    func checkDisjoint(_ schemas: [JSONValue], _ part: SchemaPart) throws {
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

    func areDisjoint(_ first: [SchemaPart], _ second: [SchemaPart]) throws -> Bool {
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
    func values(_ parts: [SchemaPart]) throws -> [JSONValue]? {
        try parts.compactMap { try Self.values($0) }.first
    }

    /// The kinds that values can have, of numbers one alone; nil where all can be.
    func kinds(_ parts: [SchemaPart]) throws -> Set<SchemaType>? {
        if let values = try values(parts) {
            return Set(
                SchemaType.allCases.filter { kind in kind != .integer && values.contains { Self.hasType($0, kind) } })
        }
        guard try parts.contains(where: { try Self.types($0) != nil }) else { return nil }
        return Set(try types(parts).map { $0 == .integer ? .number : $0 })
    }
}
