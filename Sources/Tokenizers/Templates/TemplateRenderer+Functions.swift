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
            for (name, value) in arguments.named { variables[name] = try json(value, line) }
            return .namespace(TemplateNamespace(variables))
        case .name("range"): return try range(arguments, line)
        case .name(let name): throw error(line, "the function \"\(name)\" is not supported")
        case .attribute(let base, let name): return try method(name, try evaluate(base), arguments, line)
        default: throw error(line, "something is called that is not a function")
        }
    }

    private mutating func range(_ arguments: Arguments, _ line: Int) throws -> TemplateValue {
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
        return try checked(.array(stride(from: start, to: end, by: step).map { .integer($0) }), line: line)
    }

    private mutating func method(
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
            return try checked(.array(Self.split(text, separator).map { .string($0) }), line: line)
        case (.json(.string), "upper"), (.json(.string), "lower"), (.json(.string), "replace"),
            (.json(.object), "items"):
            return try filter(name, value, arguments, line)
        case (.json(.object(let object)), "keys"): return .json(.array(object.entries.map { .string($0.key) }))
        case (.json(.object(let object)), "values"): return .json(.array(object.entries.map(\.value)))
        case (.json(.object(let object)), "get"):
            return object[try argument(0)].map { .json($0) } ?? arguments.value(1, "default") ?? .null
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
    private static func split(_ text: String, _ separator: String?) -> [String] {
        guard let separator else {
            return text.unicodeScalars.split { $0.properties.isWhitespace || 0x1C...0x1F ~= $0.value }.map {
                String($0)
            }
        }
        let bytes = Array(text.utf8)
        let pattern = Array(separator.utf8)
        var parts: [String] = []
        var start = 0
        while let end = firstRange(of: pattern, in: bytes, from: start) {
            parts.append(String(decoding: bytes[start..<end], as: UTF8.self))
            start = end + pattern.count
        }
        return parts + [String(decoding: bytes[start...], as: UTF8.self)]
    }

    /// Where `pattern`, which is not empty, is found first.
    static func firstRange(of pattern: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= pattern.count, start <= bytes.count - pattern.count else { return nil }
        return (start...(bytes.count - pattern.count)).first {
            bytes[$0] == pattern[0] && bytes[$0...].starts(with: pattern)
        }
    }
}
