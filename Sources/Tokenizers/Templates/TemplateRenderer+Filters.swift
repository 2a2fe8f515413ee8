extension TemplateRenderer {
    static let filters: Set = [
        "trim", "length", "count", "upper", "lower", "default", "d", "tojson", "join", "first", "last", "replace",
        "items",
        "list", "string", "int", "selectattr", "rejectattr", "map", "reverse", "safe", "capitalize",
    ]
    static let tests: Set = [
        "defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float",
        "boolean",
        "true", "false", "equalto", "eq", "ne", "in", "odd", "even", "divisibleby",
    ]
    /// Tests with an argument, which may stand without parentheses.
    static let testsOfTwo: Set = ["equalto", "eq", "ne", "in", "divisibleby"]

    /// Call it through ``counted(_:_:_:_:_:)``.
    func filter(_ name: String, _ value: TemplateValue, _ arguments: Arguments, _ line: Int) throws -> TemplateValue {
        switch name {
        case "default", "d":
            let replaces = arguments.value(1, "boolean")?.isTrue == true ? !value.isTrue : isUndefined(value)
            return replaces ? arguments.value(0, "default_value") ?? .string("") : value
        case "trim":
            let characters = try arguments.value(0, "chars").map { try string($0, line) }
            return .string(Self.stripped(try text(of: value, line), characters, left: true, right: true))
        case "upper": return .string(try text(of: value, line).uppercased())
        case "lower": return .string(try text(of: value, line).lowercased())
        case "capitalize":
            let text = try text(of: value, line)
            return .string(text.prefix(1).uppercased() + text.dropFirst().lowercased())
        case "string", "safe": return .string(try text(of: value, line))
        case "replace": return try replace(try text(of: value, line), arguments, line)
        case "length", "count": return .integer(try length(value, line))
        case "first": return try end(of: value, line, \.first, \.first) ?? .undefined("the first element")
        case "last": return try end(of: value, line, \.last, \.last) ?? .undefined("the last element")
        case "list": return .json(.array(try elements(of: value, line)))
        case "reverse":
            guard case .json(.string(let text)) = value else {
                return .json(.array(try elements(of: value, line).reversed()))
            }
            return .string(String(String.UnicodeScalarView(text.unicodeScalars.reversed())))
        case "items":
            if isUndefined(value) { return .json(.array([])) }
            guard case .json(.object(let object)) = value else { throw error(line, "items of \(value.kind)") }
            return try nested(.array(object.entries.map { [.string($0.key), $0.value] }), line)
        case "join":
            let separator = try text(of: arguments.value(0, "d") ?? .string(""), line)
            var joined = ""
            for (index, element) in try elements(of: value, line).enumerated() {
                let part = (index > 0 ? separator : "") + (try text(of: element, line))
                try budget.charge(64 + part.utf8.count, line)
                try budget.checkLength(joined.utf8.count + part.utf8.count, line)
                joined += part
            }
            return .string(joined)
        case "int": return try integer(value, arguments, line)
        case "tojson": return try tojson(value, arguments, line)
        case "selectattr", "rejectattr", "map": return try overElements(name, value, arguments, line)
        default: throw error(line, "the filter \"\(name)\" is not supported")
        }
    }

    private func isUndefined(_ value: TemplateValue) -> Bool {
        if case .undefined = value { true } else { false }
    }

    /// The first or the last element, key or character.
    private func end(
        of value: TemplateValue, _ line: Int, _ element: ([JSONValue]) -> JSONValue?,
        _ character: (String.UnicodeScalarView) -> Unicode.Scalar?
    ) throws -> TemplateValue? {
        if case .json(.string(let text)) = value {
            return character(text.unicodeScalars).map { .string(String(Character($0))) }
        }
        return element(try elements(of: value, line)).map { .json($0) }
    }

    private func length(_ value: TemplateValue, _ line: Int) throws -> Int {
        switch value {
        case .json(.string(let text)): return text.unicodeScalars.count
        case .json(.array(let elements)): return elements.count
        case .json(.object(let object)): return object.entries.count
        case .undefined: return 0
        default: throw error(line, "length of \(value.kind)")
        }
    }

    private func replace(_ text: String, _ arguments: Arguments, _ line: Int) throws -> TemplateValue {
        guard arguments.positional.count == 2 else { throw error(line, "replace needs two arguments") }
        let pattern = Array(try string(arguments.positional[0], line).utf8)
        let content = Array(try string(arguments.positional[1], line).utf8)
        guard !pattern.isEmpty else { throw error(line, "replace of an empty text is not supported") }
        guard
            let result = ByteSearch.replacing(
                pattern, with: content, in: Array(text.utf8), limit: TemplateBudget.maximumLength)
        else { throw error(line, "a text that is too long; at most \(TemplateBudget.maximumLength) bytes are") }
        return .string(String(decoding: result, as: UTF8.self))
    }

    private func integer(_ value: TemplateValue, _ arguments: Arguments, _ line: Int) throws -> TemplateValue {
        let fallback = arguments.value(0, "default") ?? .integer(0)
        switch value {
        case .json(.integer), .json(.bool): return .integer(Int(try json(value, line).numeric ?? 0))
        case .json(.number(let number)):
            return Int(exactly: number.rounded(.towardZero)).map { .integer($0) } ?? fallback
        case .json(.string(let text)):
            return Int(Self.stripped(text, nil, left: true, right: true)).map { .integer($0) } ?? fallback
        default: return fallback
        }
    }

    private func tojson(_ value: TemplateValue, _ arguments: Arguments, _ line: Int) throws -> TemplateValue {
        for (name, _) in arguments.named where name != "indent" && name != "ensure_ascii" {
            throw error(line, "tojson with \(name) is not supported")
        }
        let data = try json(value, line)
        var indent: Int?
        switch arguments.value(0, "indent") {
        case nil, .json(.null): break
        case .json(.integer(let width)) where 0...16 ~= width: indent = width
        default: throw error(line, "tojson with this indent is not supported")
        }
        try budget.checkLength(try budget.visit(data, texts: true, indent: indent ?? 0, line), line)
        return .string(indent.map { data.json(indent: $0) } ?? data.json)
    }

    /// Filters that look at every element: `selectattr("role", "equalto", "user")`, `map(attribute="name")`.
    private func overElements(
        _ name: String, _ value: TemplateValue, _ arguments: Arguments, _ line: Int
    ) throws -> TemplateValue {
        guard name != "map" || arguments.positional.isEmpty && arguments.named.map(\.name) == ["attribute"] else {
            throw error(line, "map with anything but an attribute is not supported")
        }
        guard let attributeName = arguments.value(0, "attribute") else {
            throw error(line, "\(name) needs an attribute")
        }
        let key = try string(attributeName, line)
        var result: [JSONValue] = []
        for element in try elements(of: value, line) {
            try budget.charge(TemplateBudget.step, line)
            let attribute = try attribute(key, of: .json(element), line)
            if name == "map" {
                result.append(try json(attribute, line))
                continue
            }
            var isSelected = attribute.isTrue
            if arguments.positional.count > 1 {
                let testName = try string(arguments.positional[1], line)
                let rest = Arguments(positional: Array(arguments.positional.dropFirst(2)))
                isSelected = try test(testName == "==" ? "eq" : testName, attribute, rest, line)
            }
            if isSelected == (name == "selectattr") { result.append(element) }
        }
        return .json(.array(result))
    }

    func test(_ name: String, _ value: TemplateValue, _ arguments: Arguments, _ line: Int) throws -> Bool {
        func other() throws -> TemplateValue {
            guard let other = arguments.positional.first else {
                throw error(line, "the test \(name) needs an argument")
            }
            return other
        }
        func whole() throws -> Int {
            guard case .json(.integer(let whole)) = value else { throw error(line, "\(name) of \(value.kind)") }
            return whole
        }
        switch (name, value) {
        case ("defined", _): return !isUndefined(value)
        case ("undefined", _): return isUndefined(value)
        case ("none", .json(.null)), ("string", .json(.string)), ("mapping", .json(.object)), ("boolean", .json(.bool)),
            ("integer", .json(.integer)), ("float", .json(.number)), ("number", .json(.integer)),
            ("number", .json(.number)), ("number", .json(.bool)), ("true", .json(.bool(true))),
            ("false", .json(.bool(false))), ("iterable", .json(.array)), ("iterable", .json(.object)),
            ("iterable", .json(.string)), ("iterable", .undefined), ("sequence", .json(.array)),
            ("sequence", .json(.object)), ("sequence", .json(.string)), ("sequence", .undefined):
            return true
        case ("equalto", _), ("eq", _): return try areEqual(value, try other(), line)
        case ("ne", _): return try !areEqual(value, try other(), line)
        case ("in", _): return try contains(try other(), value, line)
        case ("odd", _): return try whole() % 2 != 0
        case ("even", _): return try whole() % 2 == 0
        case ("divisibleby", _):
            guard case .json(.integer(let divisor)) = try other(), divisor != 0, divisor != -1 else {
                throw error(line, "divisibleby needs an integer that is not zero")
            }
            return try whole() % divisor == 0
        default:
            guard Self.tests.contains(name) else { throw error(line, "the test \"\(name)\" is not supported") }
            return false
        }
    }
}
