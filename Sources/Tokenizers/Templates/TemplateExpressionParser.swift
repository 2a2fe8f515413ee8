/// Builds expressions from the tokens of one tag, with Jinja's precedence.
struct TemplateExpressionParser {
    private let tokens: [TemplateLexer.Token]
    private let firstLine: Int
    private var position = 0
    private var depth = 0

    init(_ tokens: [TemplateLexer.Token], line: Int) {
        self.tokens = tokens
        firstLine = tokens.first?.line ?? line
    }

    var line: Int { position < tokens.count ? tokens[position].line : tokens.last?.line ?? firstLine }

    func error(_ reason: String) -> TokenizerError { .template(line: line, reason: reason) }

    private var next: TemplateLexer.Token.Kind? { position < tokens.count ? tokens[position].kind : nil }

    mutating func take(_ symbol: String) -> Bool {
        guard next == .symbol(symbol) else { return false }
        position += 1
        return true
    }

    mutating func takeName(_ name: String) -> Bool {
        guard next == .name(name) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ symbol: String) throws {
        guard take(symbol) else { throw error("expected \"\(symbol)\"") }
    }

    mutating func name() throws -> String {
        guard case .name(let name) = next else { throw error("expected a name") }
        position += 1
        return name
    }

    func end() throws {
        guard position == tokens.count else { throw error("something that is not supported at the end of a tag") }
    }

    mutating func expression(allowsConditional: Bool = true) throws -> TemplateExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth < TemplateParser.maximumDepth else { throw error("nested too deeply") }
        var value = try disjunction()
        while allowsConditional, takeName("if") {
            let condition = try disjunction()
            let otherwise = takeName("else") ? try expression() : nil
            value = make(.conditional(condition, then: value, otherwise: otherwise))
        }
        return value
    }

    private func make(_ kind: TemplateExpression.Kind) -> TemplateExpression { .init(kind: kind, line: line) }

    /// The operands of left-associative operators of one precedence.
    private mutating func chain(
        _ symbols: [String], _ operand: (inout TemplateExpressionParser) throws -> TemplateExpression
    ) throws -> TemplateExpression {
        var value = try operand(&self)
        while case .symbol(let symbol) = next, symbols.contains(symbol) {
            position += 1
            value = make(.binary(symbol, value, try operand(&self)))
        }
        return value
    }

    private mutating func logical(
        _ word: String, _ operand: (inout TemplateExpressionParser) throws -> TemplateExpression
    ) throws -> TemplateExpression {
        var value = try operand(&self)
        while takeName(word) {
            value = make(.binary(word, value, try operand(&self)))
        }
        return value
    }

    private mutating func disjunction() throws -> TemplateExpression {
        try logical("or") { try $0.logical("and") { try $0.negation() } }
    }

    private mutating func negation() throws -> TemplateExpression {
        guard takeName("not") else { return try comparison() }
        depth += 1
        defer { depth -= 1 }
        guard depth < TemplateParser.maximumDepth else { throw error("nested too deeply") }
        return make(.not(try negation()))
    }

    private mutating func comparison() throws -> TemplateExpression {
        let left = try sum()
        guard let comparison = takeComparison() else { return left }
        let result = make(.binary(comparison, left, try sum()))
        guard takeComparison() == nil else { throw error("comparisons in a chain are not supported") }
        return result
    }

    private mutating func takeComparison() -> String? {
        if case .symbol(let symbol) = next, ["==", "!=", "<", ">", "<=", ">="].contains(symbol) {
            position += 1
            return symbol
        }
        if takeName("in") { return "in" }
        guard next == .name("not"), position + 1 < tokens.count, tokens[position + 1].kind == .name("in") else {
            return nil
        }
        position += 2
        return "not in"
    }

    private mutating func sum() throws -> TemplateExpression {
        try chain(["+", "-"]) { try $0.chain(["~"]) { try $0.chain(["*", "/", "//", "%"]) { try $0.unary() } } }
    }

    private mutating func unary() throws -> TemplateExpression {
        guard take("-") else { return try filtered(try postfix(try primary())) }
        depth += 1
        defer { depth -= 1 }
        guard depth < TemplateParser.maximumDepth else { throw error("nested too deeply") }
        return make(.negative(try unary()))
    }

    private mutating func primary() throws -> TemplateExpression {
        guard let token = next else { throw error("an expression is missing") }
        let line = line
        func literal(_ value: JSONValue) -> TemplateExpression { .init(kind: .literal(value), line: line) }
        position += 1
        switch token {
        case .string(var text):
            while case .string(let more) = next {
                text += more
                position += 1
            }
            return literal(.string(text))
        case .integer(let value): return literal(.integer(value))
        case .number(let value): return literal(.number(value))
        case .name("true"), .name("True"): return literal(true)
        case .name("false"), .name("False"): return literal(false)
        case .name("none"), .name("None"): return literal(nil)
        case .name(let name): return .init(kind: .name(name), line: line)
        case .symbol("("):
            let value = try expression()
            guard next != .symbol(",") else { throw error("tuples are not supported") }
            try expect(")")
            return value
        case .symbol("["):
            var elements: [TemplateExpression] = []
            while next != .symbol("]") {
                elements.append(try expression())
                guard take(",") else { break }
            }
            try expect("]")
            return .init(kind: .list(elements), line: line)
        case .symbol("{"):
            var entries: [(key: TemplateExpression, value: TemplateExpression)] = []
            while next != .symbol("}") {
                let key = try expression()
                try expect(":")
                entries.append((key, try expression()))
                guard take(",") else { break }
            }
            try expect("}")
            return .init(kind: .dictionary(entries), line: line)
        case .symbol(let symbol): throw TokenizerError.template(line: line, reason: "\"\(symbol)\" in this place")
        }
    }

    private mutating func postfix(_ value: TemplateExpression) throws -> TemplateExpression {
        var value = value
        while true {
            if take(".") {
                value = make(.attribute(value, try name()))
            } else if take("[") {
                value = try subscripted(value)
            } else if take("(") {
                value = make(.call(value, try arguments()))
            } else {
                return value
            }
        }
    }

    private mutating func subscripted(_ value: TemplateExpression) throws -> TemplateExpression {
        var bounds: [TemplateExpression?] = []
        while true {
            let isEmpty = next == .symbol(":") || next == .symbol("]")
            bounds.append(isEmpty ? nil : try expression())
            guard bounds.count < 3, take(":") else { break }
        }
        try expect("]")
        if bounds.count > 1 {
            return make(.slice(value, start: bounds[0], end: bounds[1], step: bounds.count > 2 ? bounds[2] : nil))
        }
        guard let index = bounds[0] else { throw error("an index is missing") }
        return make(.index(value, index))
    }

    /// Arguments up to the closing parenthesis, whose opening one is behind.
    private mutating func arguments() throws -> TemplateArguments {
        var arguments = TemplateArguments()
        while next != .symbol(")") {
            if case .name(let name) = next, position + 1 < tokens.count, tokens[position + 1].kind == .symbol("=") {
                position += 2
                arguments.named.append((name, try expression()))
            } else {
                arguments.positional.append(try expression())
            }
            guard take(",") else { break }
        }
        try expect(")")
        return arguments
    }

    private mutating func filtered(_ value: TemplateExpression) throws -> TemplateExpression {
        var value = value
        while true {
            if take("|") {
                let name = try name()
                guard TemplateRenderer.filters.contains(name) else {
                    throw error("the filter \"\(name)\" is not supported")
                }
                value = make(.filter(value, name, take("(") ? try arguments() : TemplateArguments()))
            } else if takeName("is") {
                let isNegated = takeName("not")
                let name = try name()
                guard TemplateRenderer.tests.contains(name) else {
                    throw error("the test \"\(name)\" is not supported")
                }
                var arguments = TemplateArguments()
                if take("(") {
                    arguments = try self.arguments()
                } else if TemplateRenderer.testsOfTwo.contains(name) {
                    arguments.positional = [try postfix(try primary())]
                }
                let test = make(.test(value, name, arguments))
                value = isNegated ? make(.not(test)) : test
            } else {
                return value
            }
        }
    }
}
