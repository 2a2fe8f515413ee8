import Support

extension TemplateRenderer {
    /// What `json.dumps` is told.
    private struct JSONOptions {
        var escapesUnicode: Bool
        var indent: String?
        var between: String
        var behindKey: String
        var sortsKeys: Bool
    }

    /// The value as JSON, as Python's `json.dumps` writes it.
    ///
    /// - Parameter arguments: `ensure_ascii`, `indent`, `separators` and `sort_keys`.
    func json(of value: TemplateValue, _ arguments: [String: TemplateValue], _ line: Int) throws -> String {
        var indent: String?
        switch arguments["indent"] {
        case nil, .some(.none): break
        case .string(let text)? where text.utf8.count <= 16: indent = text
        case let width?:
            let width = try whole(width, line)
            guard width <= 16 else { throw error(line, "tojson with an indent of \(width); at most 16 is supported") }
            indent = String(repeating: " ", count: max(width, 0))
        }
        var separators = [indent == nil ? ", " : ",", ": "]
        if let given = arguments["separators"], !given.isNone {
            separators = try elements(of: given, line).map { try string($0, line) }
            guard separators.count == 2, separators.allSatisfy({ $0.utf8.count <= 100 }) else {
                throw error(line, "tojson takes two short separators")
            }
        }
        let options = JSONOptions(
            escapesUnicode: arguments["ensure_ascii"]?.isTrue ?? false, indent: indent, between: separators[0],
            behindKey: separators[1], sortsKeys: arguments["sort_keys"]?.isTrue ?? false)
        try budget.checkLength(try budget.visit(value, texts: true, indent: indent?.utf8.count ?? 0, line), line)
        var text = ""
        try write(value, to: &text, options, level: 0, line)
        return text
    }

    private func write(
        _ value: TemplateValue, to text: inout String, _ options: JSONOptions, level: Int, _ line: Int
    ) throws {
        func breakLine(_ level: Int) {
            if let indent = options.indent { text += "\n" + String(repeating: indent, count: level) }
        }
        switch value {
        case .none: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += "\(value)"
        case .number(let value): text += Self.json(value)
        case .string(let string), .markup(let string): write(string, to: &text, options)
        case .sequence(let sequence) where sequence.kind == .list || sequence.kind == .tuple:
            guard !sequence.elements.isEmpty else { return text += "[]" }
            text += "["
            for (index, element) in sequence.elements.enumerated() {
                if index > 0 { text += options.between }
                breakLine(level + 1)
                try write(element, to: &text, options, level: level + 1, line)
            }
            breakLine(level)
            text += "]"
        case .dictionary(let dictionary):
            guard !dictionary.entries.isEmpty else { return text += "{}" }
            text += "{"
            var entries = dictionary.entries
            if options.sortsKeys { try entries.sort { try precedes($0.key, $1.key, line) } }
            for (index, entry) in entries.enumerated() {
                if index > 0 { text += options.between }
                breakLine(level + 1)
                write(try key(entry.key, line), to: &text, options)
                text += options.behindKey
                try write(entry.value, to: &text, options, level: level + 1, line)
            }
            breakLine(level)
            text += "}"
        default: throw error(line, "\(value.kind) cannot be written as JSON")
        }
        try budget.checkLength(text.utf8.count, line)
    }

    private static func json(_ value: Double) -> String {
        value.isFinite ? PythonNumber.text(value) : value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
    }

    private func key(_ value: TemplateValue, _ line: Int) throws -> String {
        switch value {
        case .string(let text), .markup(let text): return text
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return "\(value)"
        case .number(let value): return Self.json(value)
        case .none: return "null"
        default: throw error(line, "\(value.kind) cannot be a key of JSON")
        }
    }

    private func write(_ string: String, to text: inout String, _ options: JSONOptions) {
        guard options.escapesUnicode, !string.utf8.allSatisfy({ $0 < 0x80 }) else {
            return text += JSONValue.string(string).json
        }
        text += "\""
        for scalar in string.unicodeScalars {
            if scalar.isASCII {
                text += JSONValue.string(String(Character(scalar))).json.dropFirst().dropLast()
            } else {
                for unit in String(Character(scalar)).utf16 {
                    let digits = String(unit, radix: 16)
                    text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            }
        }
        text += "\""
    }
}
