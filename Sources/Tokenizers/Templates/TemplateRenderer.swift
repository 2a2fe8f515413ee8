/// Executes the statements of a template.
struct TemplateRenderer {
    private enum Flow {
        case next, leaveLoop, nextIteration
    }

    /// The most bytes of output, and of a string made on the way.
    static let maximumLength = 8_000_000
    /// The most steps: expressions evaluated, elements visited, and kilobytes of text handled.
    private static let maximumSteps = 2_000_000

    private var scopes: [[String: TemplateValue]]
    private var output = ""
    private var steps = 0

    init(variables: [String: TemplateValue]) {
        scopes = [variables]
    }

    mutating func render(_ statements: [TemplateStatement]) throws -> String {
        _ = try execute(statements)
        return output
    }

    func error(_ line: Int, _ reason: String) -> TokenizerError { .template(line: line, reason: reason) }

    /// Counts work against the limit.
    mutating func spend(_ count: Int = 1, line: Int) throws {
        steps += min(count, Self.maximumSteps)
        guard steps <= Self.maximumSteps else { throw error(line, "the template does too much work") }
    }

    /// Checks the size of a new string.
    mutating func checked(_ text: String, line: Int) throws -> TemplateValue {
        guard text.utf8.count <= Self.maximumLength else { throw error(line, "a text that is too long") }
        try spend(1 + text.utf8.count / 1024, line: line)
        return .string(text)
    }

    /// Checks the size and the depth of a new list or dictionary.
    mutating func checked(_ value: JSONValue, line: Int) throws -> TemplateValue {
        try visit(value, depth: 0, line: line)
        return .json(value)
    }

    private mutating func visit(_ value: JSONValue, depth: Int, line: Int) throws {
        guard depth < JSONParser.maximumDepth else { throw error(line, "a value that is nested too deeply") }
        try spend(line: line)
        switch value {
        case .array(let elements): for element in elements { try visit(element, depth: depth + 1, line: line) }
        case .object(let object): for entry in object.entries { try visit(entry.value, depth: depth + 1, line: line) }
        case .string(let text): try spend(text.utf8.count / 1024, line: line)
        default: break
        }
    }

    private mutating func execute(_ statements: [TemplateStatement]) throws -> Flow {
        for statement in statements {
            let flow = try execute(statement)
            guard flow == .next else { return flow }
        }
        return .next
    }

    private mutating func execute(_ statement: TemplateStatement) throws -> Flow {
        switch statement {
        case .text(let text): try write(text, line: 1)
        case .output(let expression):
            try write(try text(of: try evaluate(expression), expression.line), line: expression.line)
        case .branch(let branches, let otherwise):
            for (condition, body) in branches where try evaluate(condition).isTrue { return try execute(body) }
            return try execute(otherwise)
        case .loop(let names, let sequence, let filter, let body, let otherwise):
            try loop(names, sequence, filter, body, otherwise)
        case .assign(let name, let attribute, let expression, let line):
            let value = try evaluate(expression)
            if let attribute {
                guard case .namespace(let namespace)? = find(name) else {
                    throw error(line, "\(name).\(attribute) is assigned to, but \(name) is not a namespace")
                }
                namespace.variables[attribute] = try json(value, line)
            } else {
                scopes[scopes.count - 1][name] = value
            }
        case .capture(let name, let body):
            let outer = output
            output = ""
            scopes.append([:])
            _ = try execute(body)
            scopes.removeLast()
            scopes[scopes.count - 1][name] = .string(output)
            output = outer
        case .leaveLoop: return .leaveLoop
        case .nextIteration: return .nextIteration
        }
        return .next
    }

    private mutating func write(_ text: String, line: Int) throws {
        try spend(1 + text.utf8.count / 1024, line: line)
        guard output.utf8.count + text.utf8.count <= Self.maximumLength else {
            throw error(line, "the output is too long")
        }
        output += text
    }

    private mutating func loop(
        _ names: [String], _ sequence: TemplateExpression, _ filter: TemplateExpression?, _ body: [TemplateStatement],
        _ otherwise: [TemplateStatement]
    ) throws {
        var elements = try elements(of: try evaluate(sequence), sequence.line)
        let depth = scopes.count
        if let filter {
            var kept: [JSONValue] = []
            for element in elements {
                scopes.append(try bind(names, element, sequence.line))
                if try evaluate(filter).isTrue { kept.append(element) }
                scopes.removeLast()
            }
            elements = kept
        }
        if elements.isEmpty { _ = try execute(otherwise) }
        for (index, element) in elements.enumerated() {
            try spend(line: sequence.line)
            var scope = try bind(names, element, sequence.line)
            var loop = JSONObject([
                ("index", .integer(index + 1)), ("index0", .integer(index)), ("first", .bool(index == 0)),
                ("last", .bool(index == elements.count - 1)), ("length", .integer(elements.count)),
                ("revindex", .integer(elements.count - index)), ("revindex0", .integer(elements.count - index - 1)),
            ])
            if index > 0 { loop["previtem"] = elements[index - 1] }
            if index + 1 < elements.count { loop["nextitem"] = elements[index + 1] }
            scope["loop"] = .json(.object(loop))
            scopes.append(scope)
            let flow = try execute(body)
            scopes.removeLast(scopes.count - depth)
            if flow == .leaveLoop { break }
        }
    }

    /// The loop variables for an element.
    private func bind(_ names: [String], _ element: JSONValue, _ line: Int) throws -> [String: TemplateValue] {
        if names.count == 1 { return [names[0]: .json(element)] }
        guard let values = element.elements, values.count == names.count else {
            throw error(line, "expected \(names.count) values to unpack, found \(element.kind)")
        }
        return Dictionary(zip(names, values.map { .json($0) }), uniquingKeysWith: { $1 })
    }

    func find(_ name: String) -> TemplateValue? {
        for scope in scopes.reversed() { if let value = scope[name] { return value } }
        return nil
    }

    /// What a loop goes through: elements, keys, or characters.
    func elements(of value: TemplateValue, _ line: Int) throws -> [JSONValue] {
        switch value {
        case .json(.array(let elements)): return elements
        case .json(.object(let object)): return object.entries.map { .string($0.key) }
        case .json(.string(let text)): return text.unicodeScalars.map { .string(String(Character($0))) }
        case .undefined: return []
        default: throw error(line, "cannot go through \(value.kind)")
        }
    }

    /// The value as data.
    func json(_ value: TemplateValue, _ line: Int) throws -> JSONValue {
        switch value {
        case .json(let value): return value
        case .undefined, .namespace: throw error(line, "expected a value, found \(value.kind)")
        }
    }

    /// The value as text, as `{{ }}` writes it.
    func text(of value: TemplateValue, _ line: Int) throws -> String {
        switch value {
        case .undefined: return ""
        case .json(let value): return value.pythonText
        case .namespace: throw error(line, "a namespace cannot be written")
        }
    }

    func string(_ value: TemplateValue, _ line: Int) throws -> String {
        guard case .json(.string(let text)) = value else { throw error(line, "expected a string, found \(value.kind)") }
        return text
    }
}
