extension TemplateRenderer {
    /// Comparisons by the names that tests have for them.
    private static let comparisons = [
        "eq": "==", "equalto": "==", "==": "==", "ne": "!=", "!=": "!=", "lt": "<", "lessthan": "<", "<": "<",
        "le": "<=",
        "<=": "<=", "gt": ">", "greaterthan": ">", ">": ">", "ge": ">=", ">=": ">=", "in": "in",
    ]
    private static let tests: Set = [
        "boolean", "callable", "defined", "divisibleby", "escaped", "even", "false", "filter", "float", "integer",
        "iterable", "lower", "mapping", "none", "number", "odd", "sameas", "sequence", "string", "test", "true",
        "undefined", "upper",
    ]

    private static func hasTest(_ name: String) -> Bool { tests.contains(name) || comparisons[name] != nil }

    func test(_ name: String, _ value: TemplateValue, _ arguments: Arguments, _ line: Int) throws -> Bool {
        guard Self.hasTest(name) else { throw error(line, "the test \"\(name)\" is not known") }
        let takes = name == "divisibleby" || name == "sameas" || Self.comparisons[name] != nil ? 1 : 0
        guard arguments.positional.count + arguments.named.count == takes else {
            throw error(line, "the test \(name) takes \(takes == 0 ? "no argument" : "an argument")")
        }
        let other = arguments.positional.first ?? arguments.named.first?.value ?? .none
        if let symbol = Self.comparisons[name] { return try compare(symbol, value, other, line) }
        switch name {
        case "defined": return !value.isUndefined
        case "undefined": return value.isUndefined
        case "odd", "even":
            let remainder = try arithmetic("%", value, .integer(2), line)
            return try areEqual(remainder, .integer(name == "odd" ? 1 : 0), line)
        case "divisibleby": return try !arithmetic("%", value, other, line).isTrue
        case "sameas": return try isSame(value, other, line)
        case "filter": return Self.hasFilter(try string(value, line))
        case "test": return Self.hasTest(try string(value, line))
        case "lower": return TemplateText.isOfKind(try text(of: value, line), "islower")
        case "upper": return TemplateText.isOfKind(try text(of: value, line), "isupper")
        default: return Self.isOfKind(value, name)
        }
    }

    private static func isOfKind(_ value: TemplateValue, _ name: String) -> Bool {
        switch (name, value) {
        case ("none", .none), ("string", .string), ("string", .markup), ("mapping", .dictionary), ("boolean", .bool),
            ("integer", .integer), ("float", .number), ("number", .integer), ("number", .number), ("number", .bool),
            ("true", .bool(true)), ("false", .bool(false)), ("escaped", .markup), ("iterable", .dictionary),
            ("iterable", .string), ("iterable", .markup), ("iterable", .undefined), ("iterable", .sequence),
            ("iterable", .iterator), ("sequence", .dictionary), ("sequence", .string), ("sequence", .markup):
            true
        case ("sequence", .sequence(let sequence)): sequence.isIndexed
        case ("callable", .object(let object)): !(object is TemplateNamespace)
        // Its methods exist, and say that it is undefined when they are used.
        case ("callable", .undefined): true
        case ("sequence", .undefined): true
        default: false
        }
    }

    /// Whether two values are one: small values are, others by what they are.
    private func isSame(_ left: TemplateValue, _ right: TemplateValue, _ line: Int) throws -> Bool {
        switch (left, right) {
        case (.bool, .bool), (.none, .none), (.integer, .integer), (.string, .string), (.object, .object):
            try areEqual(left, right, line)
        default: false
        }
    }
}
