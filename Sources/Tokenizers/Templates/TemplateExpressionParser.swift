import Support

/// Builds expressions from the tokens of one tag, with Jinja's precedence.
struct TemplateExpressionParser {
    private let tokens: [TemplateToken]
    private let firstLine: Int
    private var position = 0
    private var depth = 0

    init(_ tokens: [TemplateToken], line: Int) {
        self.tokens = tokens
        firstLine = tokens.first?.line ?? line
    }

    var line: Int { position < tokens.count ? tokens[position].line : tokens.last?.line ?? firstLine }

    func error(_ reason: String) -> TokenizerError { .template(line: line, reason: reason) }

    private var next: TemplateToken.Kind? { position < tokens.count ? tokens[position].kind : nil }

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

    var isAtEnd: Bool { position == tokens.count }

    func end() throws {
        guard isAtEnd else { throw error("something that is not supported at the end of a tag") }
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
        var operands: [(symbol: String, value: TemplateExpression)] = []
        while let symbol = takeComparison() { operands.append((symbol, try sum())) }
        return operands.isEmpty ? left : make(.comparison(left, operands))
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
        try chain(["+", "-"]) { try $0.concatenation() }
    }

    private mutating func concatenation() throws -> TemplateExpression {
        var texts = [try product()]
        while take("~") { texts.append(try product()) }
        return texts.count == 1 ? texts[0] : make(.concatenation(texts))
    }

    private mutating func product() throws -> TemplateExpression {
        try chain(["*", "/", "//", "%"]) { try $0.chain(["**"]) { try $0.unary() } }
    }

    /// A sign binds weaker than what follows a value in brackets and dots, and stronger than its filters and tests.
    private mutating func unary(withFilters: Bool = true) throws -> TemplateExpression {
        var value: TemplateExpression
        if next == .symbol("-") || next == .symbol("+") {
            let isNegative = next == .symbol("-")
            position += 1
            depth += 1
            defer { depth -= 1 }
            guard depth < TemplateParser.maximumDepth else { throw error("nested too deeply") }
            value = make(.signed(isNegative: isNegative, try unary(withFilters: false)))
        } else {
            value = try primary()
        }
        value = try postfix(value)
        return withFilters ? try filtered(value) : value
    }

    /// One expression, or a tuple of several with commas between them.
    mutating func tuple(allowsConditional: Bool = true) throws -> TemplateExpression {
        let first = try expression(allowsConditional: allowsConditional)
        guard next == .symbol(",") else { return first }
        var elements = [first]
        while take(",") {
            if position == tokens.count || next == .symbol(")") || next == .symbol("]") { break }
            elements.append(try expression(allowsConditional: allowsConditional))
        }
        return make(.tuple(elements))
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
            if take(")") { return .init(kind: .tuple([]), line: line) }
            let value = try tuple()
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
                if case .integer(let index) = next {
                    position += 1
                    value = make(.index(value, make(.literal(.integer(index)))))
                } else {
                    value = make(.attribute(value, try name()))
                }
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
            bounds.append(isEmpty ? nil : try tuple())
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
            if take("**") {
                arguments.spreadNamed = try expression()
            } else if take("*") {
                arguments.spread = try expression()
            } else if case .name(let name) = next, position + 1 < tokens.count,
                tokens[position + 1].kind == .symbol("=")
            {
                position += 2
                arguments.named.append((name, try expression()))
            } else {
                guard arguments.named.isEmpty, arguments.spreadNamed == nil else {
                    throw error("an argument without a name behind those with names")
                }
                arguments.positional.append(try expression())
            }
            guard take(",") else { break }
        }
        try expect(")")
        return arguments
    }

    /// The parameters of a macro up to the closing parenthesis, whose opening one is behind.
    mutating func parameters() throws -> [(name: String, fallback: TemplateExpression?)] {
        var parameters: [(name: String, fallback: TemplateExpression?)] = []
        while next != .symbol(")") {
            if !parameters.isEmpty { try expect(",") }
            let name = try name()
            let fallback = take("=") ? try expression() : nil
            if fallback == nil, parameters.last?.fallback != nil {
                throw error("a parameter without a value behind one with a value")
            }
            parameters.append((name, fallback))
        }
        try expect(")")
        return parameters
    }

    /// Filters with bars between them, as a block has them.
    mutating func filters(startsWithName: Bool) throws -> [TemplateFilterSyntax] {
        var filters: [TemplateFilterSyntax] = []
        while startsWithName && filters.isEmpty || take("|") {
            let name = try dottedName()
            filters.append(TemplateFilterSyntax(name: name, arguments: take("(") ? try arguments() : .init()))
        }
        return filters
    }

    private mutating func dottedName() throws -> String {
        var name = try name()
        while take(".") { name += "." + (try self.name()) }
        return name
    }

    private mutating func filtered(_ value: TemplateExpression) throws -> TemplateExpression {
        var value = value
        while true {
            if take("|") {
                let name = try dottedName()
                value = make(.filter(value, name, take("(") ? try arguments() : TemplateArguments()))
            } else if takeName("is") {
                value = try test(of: value)
            } else if take("(") {
                value = make(.call(value, try arguments()))
            } else {
                return value
            }
        }
    }

    private mutating func test(of value: TemplateExpression) throws -> TemplateExpression {
        let isNegated = takeName("not")
        let name = try dottedName()
        var arguments = TemplateArguments()
        if take("(") {
            arguments = try self.arguments()
        } else if beginsArgument {
            arguments.positional = [try postfix(try primary())]
        }
        let test = make(.test(value, name, arguments))
        return isNegated ? make(.not(test)) : test
    }

    /// Whether the next word is the argument of a test that stands without parentheses.
    private var beginsArgument: Bool {
        switch next {
        case .string, .integer, .number, .symbol("["), .symbol("{"): true
        case .name(let name): !["else", "or", "and", "if", "is", "in", "not", "recursive"].contains(name)
        default: false
        }
    }

    /// What is assigned to: a name, an attribute of a namespace, or several of them.
    mutating func target() throws -> TemplateTarget {
        depth += 1
        defer { depth -= 1 }
        guard depth < TemplateParser.maximumDepth else { throw error("nested too deeply") }
        var targets: [TemplateTarget] = []
        var isTuple = false
        repeat {
            if isTuple, position == tokens.count || next == .name("in") || next == .symbol("=") || next == .symbol(")")
            {
                break
            }
            if take("(") {
                targets.append(try target())
                try expect(")")
            } else {
                let name = try name()
                targets.append(take(".") ? .attribute(of: name, try self.name()) : .name(name))
            }
            if next == .symbol(",") { isTuple = true }
        } while take(",")
        return isTuple ? .tuple(targets) : targets[0]
    }
}
