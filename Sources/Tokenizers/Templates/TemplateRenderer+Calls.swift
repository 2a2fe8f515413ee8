import Foundation

extension TemplateRenderer {
    /// Evaluated arguments.
    struct Arguments {
        var positional: [TemplateValue] = []
        var named: [(name: String, value: TemplateValue)] = []
    }

    func evaluate(_ arguments: TemplateArguments, _ line: Int) throws -> Arguments {
        var result = Arguments()
        for argument in arguments.positional { result.positional.append(try evaluate(argument)) }
        for (name, value) in arguments.named { result.named.append((name, try evaluate(value))) }
        if let spread = arguments.spread {
            result.positional += try elements(of: try evaluate(spread), line)
        }
        if let spread = arguments.spreadNamed {
            guard case .dictionary(let dictionary) = try evaluate(spread) else {
                throw error(line, "expected a dictionary behind **")
            }
            for entry in dictionary.entries { result.named.append((try string(entry.key, line), entry.value)) }
        }
        return result
    }

    func call(_ callee: TemplateExpression, _ arguments: Arguments) throws -> TemplateValue {
        guard case .object(let object) = try evaluate(callee) else {
            switch callee.kind {
            case .name(let name): throw error(callee.line, "the function \"\(name)\" is not known")
            case .attribute(let base, let name):
                throw error(callee.line, "the method \"\(name)\" of \(try evaluate(base).kind) is not known")
            default: throw error(callee.line, "something is called that is not a function")
            }
        }
        return try deeper(callee.line) { try object.call(arguments, self, callee.line) }
    }

    /// Arguments by the names of the parameters; those that are not given are missing.
    func bind(
        _ arguments: Arguments, to parameters: [String], of name: String, _ line: Int
    ) throws -> [String: TemplateValue] {
        guard arguments.positional.count <= parameters.count else {
            throw error(
                line, "\(name) takes at most \(parameters.count) arguments, found \(arguments.positional.count)")
        }
        var bound = Dictionary(zip(parameters, arguments.positional), uniquingKeysWith: { $1 })
        for (parameter, value) in arguments.named {
            guard parameters.contains(parameter), bound[parameter] == nil else {
                throw error(line, "\(name) takes no argument \"\(parameter)\" here")
            }
            bound[parameter] = value
        }
        return bound
    }

    /// What is defined in every template.
    static var globals: [String: TemplateValue] {
        var functions: [String: TemplateFunction.Body] = [:]
        functions["raise_exception"] = { arguments, renderer, line in
            let message = try renderer.bind(arguments, to: ["message"], of: "raise_exception", line)["message"]
            throw TokenizerError.templateRaised(message: try renderer.text(of: message ?? .none, line))
        }
        functions["strftime_now"] = { arguments, renderer, line in
            let format = try renderer.bind(arguments, to: ["format"], of: "strftime_now", line)["format"]
            return try renderer.made(
                .string(try renderer.timeText(try renderer.string(format ?? .none, line), line)), line)
        }
        functions["range"] = { arguments, renderer, line in try renderer.range(arguments, line) }
        functions["dict"] = { arguments, renderer, line in try renderer.dictionary(from: arguments, line) }
        functions["namespace"] = { arguments, renderer, line in
            let namespace = TemplateNamespace([:])
            guard case .dictionary(let values) = try renderer.dictionary(from: arguments, line) else { return .none }
            for entry in values.entries {
                try renderer.set(try renderer.string(entry.key, line), of: namespace, entry.value, line)
            }
            return .object(namespace)
        }
        functions["cycler"] = { arguments, renderer, line in
            guard !arguments.positional.isEmpty else { throw renderer.error(line, "cycler() needs an argument") }
            return .object(TemplateCycler(try arguments.positional.map { try renderer.data($0, line) }))
        }
        functions["joiner"] = { arguments, renderer, line in
            let separator = try renderer.bind(arguments, to: ["sep"], of: "joiner", line)["sep"] ?? .string(", ")
            var isFirst = true
            return .object(
                TemplateFunction("joiner") { _, _, _ in
                    defer { isFirst = false }
                    return isFirst ? .string("") : separator
                })
        }
        return Dictionary(uniqueKeysWithValues: functions.map { ($0, .object(TemplateFunction($0, $1))) })
    }

    private func range(_ arguments: Arguments, _ line: Int) throws -> TemplateValue {
        let bounds = try arguments.positional.map { try whole($0, line) }
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
        let elements = stride(from: start, to: end, by: step).map { TemplateValue.integer($0) }
        return try made(.sequence(TemplateSequence(.range(start: start, end: end, step: step), elements)), line)
    }

    /// `dict(pairs, name=value)`.
    private func dictionary(from arguments: Arguments, _ line: Int) throws -> TemplateValue {
        var dictionary = TemplateDictionary()
        if case .dictionary(let first)? = arguments.positional.first {
            dictionary = first
        } else if let first = arguments.positional.first {
            for pair in try elements(of: first, line) {
                let pair = try elements(of: pair, line)
                guard pair.count == 2 else { throw error(line, "dict() takes pairs") }
                try set(pair[0], pair[1], in: &dictionary, line)
            }
        }
        guard arguments.positional.count < 2 else { throw error(line, "dict() takes one argument without a name") }
        for (name, value) in arguments.named { try set(.string(name), value, in: &dictionary, line) }
        return try made(.dictionary(dictionary), line)
    }

    /// The local time by a format of C's `strftime`, as Python has it.
    private func timeText(_ format: String, _ line: Int) throws -> String {
        guard format.utf8.count <= 1000, !format.utf8.contains(0) else {
            throw error(line, "a format of time with more than 1000 characters, or with a zero")
        }
        var now = time(nil), parts = tm()
        guard localtime_r(&now, &parts) != nil else { throw error(line, "the time of day is not known") }
        // A mark in front tells a text without characters from one that is too long.
        let format = "-" + format
        var buffer = [UInt8](repeating: 0, count: 64_000)
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.bindMemory(to: CChar.self).baseAddress.map { strftime($0, bytes.count, format, &parts) } ?? 0
        }
        return String(decoding: buffer[..<count].dropFirst(), as: UTF8.self)
    }
}
