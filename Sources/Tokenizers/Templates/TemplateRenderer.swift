/// Executes the statements of a template.
struct TemplateRenderer {
    private enum Flow {
        case next, leaveLoop, nextIteration
    }

    private var scopes: [[String: TemplateValue]]
    private var output = ""
    let budget = TemplateBudget()

    init(variables: [String: TemplateValue]) {
        scopes = [variables]
    }

    mutating func render(_ statements: [TemplateStatement]) throws -> String {
        _ = try execute(statements)
        return output
    }

    func error(_ line: Int, _ reason: String) -> TokenizerError { .template(line: line, reason: reason) }

    /// A new text, counted and checked.
    func made(_ text: String, _ line: Int) throws -> TemplateValue {
        try budget.made(.string(text), line)
        return .string(text)
    }

    /// A new list, counted.
    func made(_ elements: [JSONValue], _ line: Int) throws -> TemplateValue {
        try budget.made(.array(elements), line)
        return .json(.array(elements))
    }

    /// A list or an object that nests other values, with its depth checked.
    func nested(_ value: JSONValue, _ line: Int) throws -> TemplateValue {
        try budget.visit(value, texts: false, line)
        return .json(value)
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
                guard case .namespace(let namespace)? = try find(name, line) else {
                    throw error(line, "\(name).\(attribute) is assigned to, but \(name) is not a namespace")
                }
                try budget.lookUp(attribute, in: namespace.variables, line)
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
        try budget.charge(TemplateBudget.step + text.utf8.count, line)
        guard output.utf8.count + text.utf8.count <= TemplateBudget.maximumLength else {
            throw error(line, "the output is too long; at most \(TemplateBudget.maximumLength) bytes are written")
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
            try budget.charge(2 * TemplateBudget.step, sequence.line)
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

    func find(_ name: String, _ line: Int) throws -> TemplateValue? {
        for scope in scopes.reversed() {
            try budget.charge(TemplateBudget.step / 4, line)
            if let value = scope[name] { return value }
        }
        return nil
    }

    /// What a loop goes through: elements, keys, or characters.
    func elements(of value: TemplateValue, _ line: Int) throws -> [JSONValue] {
        switch value {
        case .json(.array(let elements)): return elements
        case .json(.object(let object)):
            try budget.charge(TemplateBudget.cell * object.entries.count, line)
            return object.entries.map { .string($0.key) }
        case .json(.string(let text)):
            try budget.charge(2 * TemplateBudget.cell * text.utf8.count, line)
            return text.unicodeScalars.map { .string(String(Character($0))) }
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
        case .json(let value): return try text(of: value, line)
        case .namespace: throw error(line, "a namespace cannot be written")
        }
    }

    func text(of value: JSONValue, _ line: Int) throws -> String {
        if case .string(let text) = value { return text }
        try budget.checkLength(try budget.visit(value, texts: true, line), line)
        return value.pythonText
    }

    func string(_ value: TemplateValue, _ line: Int) throws -> String {
        guard case .json(.string(let text)) = value else { throw error(line, "expected a string, found \(value.kind)") }
        return text
    }
}
