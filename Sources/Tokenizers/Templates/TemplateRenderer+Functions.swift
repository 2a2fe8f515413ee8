extension TemplateRenderer {
    /// Evaluated arguments.
    struct Arguments {
        var positional: [TemplateValue] = []
        var named: [(name: String, value: TemplateValue)] = []

        /// An argument by its place or its name.
        func value(_ index: Int, _ name: String) -> TemplateValue? {
            positional.indices.contains(index) ? positional[index] : named.first { $0.name == name }?.value
        }
    }

    /// A filter or a method: what it reads is counted before, and what it makes behind it.
    func counted(
        _ operation: (String, TemplateValue, Arguments, Int) throws -> TemplateValue, _ name: String,
        _ value: TemplateValue, _ arguments: Arguments, _ line: Int
    ) throws -> TemplateValue {
        try budget.read([value] + arguments.positional + arguments.named.map(\.value), line)
        let result = try operation(name, value, arguments, line)
        if case .json(let made) = result { try budget.made(made, line) }
        return result
    }

    mutating func evaluate(_ arguments: TemplateArguments, _ line: Int) throws -> Arguments {
        var result = Arguments()
        for argument in arguments.positional { result.positional.append(try evaluate(argument)) }
        for (name, value) in arguments.named { result.named.append((name, try evaluate(value))) }
        return result
    }

    mutating func call(_ callee: TemplateExpression, _ argumentList: TemplateArguments) throws -> TemplateValue {
        let line = callee.line
        let arguments = try evaluate(argumentList, line)
        switch callee.kind {
        case .name("raise_exception"):
            throw TokenizerError.templateRaised(message: try text(of: arguments.value(0, "message") ?? .null, line))
        case .name("namespace"):
            guard arguments.positional.isEmpty else { throw error(line, "namespace() takes named values only") }
            var variables = JSONObject()
            for (name, value) in arguments.named {
                try budget.lookUp(name, in: variables, line)
                variables[name] = try json(value, line)
            }
            return .namespace(TemplateNamespace(variables))
        case .name("range"): return try range(arguments, line)
        case .name(let name): throw error(line, "the function \"\(name)\" is not supported")
        case .attribute(let base, let name): return try counted(method, name, try evaluate(base), arguments, line)
        default: throw error(line, "something is called that is not a function")
        }
    }

    private func range(_ arguments: Arguments, _ line: Int) throws -> TemplateValue {
        var bounds: [Int] = []
        for argument in arguments.positional {
            guard case .json(.integer(let bound)) = argument else { throw error(line, "range() takes integers") }
            bounds.append(bound)
        }
        guard 1...3 ~= bounds.count, arguments.named.isEmpty else {
            throw error(line, "range() takes one to three integers")
        }
        let (start, end) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
        let step = bounds.count == 3 ? bounds[2] : 1
        guard step != 0 else { throw error(line, "range() with the step 0") }
        let limit = 1 << 40
        guard [start, end, step].allSatisfy({ -limit...limit ~= $0 }), (end - start) / step <= 100_000 else {
            throw error(line, "a range that is too long")
        }
        return try made(stride(from: start, to: end, by: step).map { .integer($0) }, line)
    }

    private func method(
        _ name: String, _ value: TemplateValue, _ arguments: Arguments, _ line: Int
    ) throws -> TemplateValue {
        func argument(_ index: Int) throws -> String {
            guard arguments.positional.indices.contains(index) else { throw error(line, "\(name)() needs an argument") }
            return try string(arguments.positional[index], line)
        }
        switch (value, name) {
        case (.json(.string(let text)), "strip"), (.json(.string(let text)), "lstrip"),
            (.json(.string(let text)), "rstrip"):
            let characters = arguments.positional.isEmpty ? nil : try argument(0)
            return .string(Self.stripped(text, characters, left: name != "rstrip", right: name != "lstrip"))
        case (.json(.string(let text)), "startswith"): return .bool(text.utf8.starts(with: try argument(0).utf8))
        case (.json(.string(let text)), "endswith"):
            return .bool(text.utf8.reversed().starts(with: try argument(0).utf8.reversed()))
        case (.json(.string(let text)), "split"):
            let separator = arguments.positional.isEmpty ? nil : try argument(0)
            guard arguments.positional.count < 2, separator != "" else {
                throw error(line, "split() with these arguments")
            }
            return .json(.array(Self.split(text, separator)))
        case (.json(.string), "upper"), (.json(.string), "lower"), (.json(.string), "replace"),
            (.json(.object), "items"):
            return try filter(name, value, arguments, line)
        case (.json(.object(let object)), "keys"): return .json(.array(object.entries.map { .string($0.key) }))
        case (.json(.object(let object)), "values"): return .json(.array(object.entries.map(\.value)))
        case (.json(.object(let object)), "get"):
            return try member(try argument(0), of: object, line).map { .json($0) } ?? arguments.value(1, "default") ?? .null
        default: throw error(line, "the method \"\(name)\" of \(value.kind) is not supported")
        }
    }

    /// Removes characters from the ends: the given ones, or white space.
    static func stripped(_ text: String, _ characters: String?, left: Bool, right: Bool) -> String {
        let set = characters.map { Set($0.unicodeScalars) }
        func isStripped(_ scalar: Unicode.Scalar) -> Bool {
            set.map { $0.contains(scalar) } ?? (scalar.properties.isWhitespace || 0x1C...0x1F ~= scalar.value)
        }
        var rest = text.unicodeScalars[...]
        while left, let first = rest.first, isStripped(first) { rest.removeFirst() }
        while right, let last = rest.last, isStripped(last) { rest.removeLast() }
        return String(rest)
    }

    /// The parts between separators, or between runs of white space.
    private static func split(_ text: String, _ separator: String?) -> [JSONValue] {
        guard let separator else {
            return text.unicodeScalars.split { $0.properties.isWhitespace || 0x1C...0x1F ~= $0.value }.map {
                .string(String($0))
            }
        }
        let bytes = Array(text.utf8)
        let pattern = Array(separator.utf8)
        var parts: [JSONValue] = []
        var start = 0
        while let end = ByteSearch.first(pattern, in: bytes, from: start) {
            parts.append(.string(String(decoding: bytes[start..<end], as: UTF8.self)))
            start = end + pattern.count
        }
        return parts + [.string(String(decoding: bytes[start...], as: UTF8.self))]
    }
}
