/// Builds the statements of a template.
struct TemplateParser {
    /// Statements inside statements, and expressions inside expressions.
    static let maximumDepth = 64

    private let parts: [TemplateLexer.Part]
    private var position = 0
    private var depth = 0
    /// Loops around a statement that it can leave.
    private var loops = 0

    init(_ parts: [TemplateLexer.Part]) {
        self.parts = parts
    }

    mutating func template() throws -> [TemplateStatement] {
        try body(until: [], line: 1).statements
    }

    /// The statements up to one that begins with one of `ends`, and the rest of that one.
    private mutating func body(
        until ends: [String], line: Int
    ) throws -> (statements: [TemplateStatement], end: String, rest: TemplateExpressionParser) {
        depth += 1
        defer { depth -= 1 }
        guard depth < Self.maximumDepth else { throw TokenizerError.template(line: line, reason: "nested too deeply") }
        var statements: [TemplateStatement] = []
        while position < parts.count {
            let part = parts[position]
            position += 1
            switch part {
            case .text(let text): statements.append(.text(text))
            case .output(let tokens, let line):
                var parser = TemplateExpressionParser(tokens, line: line)
                statements.append(.output(try parser.tuple()))
                try parser.end()
            case .statement(let tokens, let line):
                var parser = TemplateExpressionParser(tokens, line: line)
                let keyword = try parser.name()
                if ends.contains(keyword) { return (statements, keyword, parser) }
                statements += try statement(keyword, &parser)
            }
        }
        guard ends.isEmpty else {
            throw TokenizerError.template(line: line, reason: "no \(ends.last ?? "") for this statement")
        }
        return (statements, "", TemplateExpressionParser([], line: line))
    }

    /// The statements up to `end`, which cannot leave a loop around them.
    private mutating func ownBody(until end: String, line: Int) throws -> [TemplateStatement] {
        let outer = loops
        loops = 0
        defer { loops = outer }
        var (statements, _, rest) = try body(until: [end], line: line)
        // A block's end may repeat its name.
        if end == "endblock" { _ = try? rest.name() }
        try rest.end()
        return statements
    }

    private mutating func statement(
        _ keyword: String, _ parser: inout TemplateExpressionParser
    ) throws -> [TemplateStatement] {
        let line = parser.line
        switch keyword {
        case "if": return [try branch(&parser)]
        case "for": return [.loop(try loop(&parser))]
        case "set": return [try assignment(&parser)]
        case "macro": return [.macro(try macro(&parser))]
        case "call": return [try call(&parser)]
        case "print":
            let value = try parser.tuple()
            try parser.end()
            return [.output(value)]
        case "filter":
            let filters = try parser.filters(startsWithName: true)
            try parser.end()
            return [.filtered(filters, body: try ownBody(until: "endfilter", line: line), line: line)]
        case "with": return [try with(&parser)]
        case "generation":
            try parser.end()
            return [.scope([], body: try ownBody(until: "endgeneration", line: line))]
        case "block":
            _ = try parser.name()
            while parser.takeName("scoped") || parser.takeName("required") {}
            try parser.end()
            return [.scope([], body: try ownBody(until: "endblock", line: line))]
        case "break", "continue":
            guard loops > 0 else { throw parser.error("\(keyword) outside of a loop") }
            try parser.end()
            return [keyword == "break" ? .leaveLoop : .nextIteration]
        case "include", "import", "from", "extends":
            return [.refused("\"\(keyword)\" needs another template; a chat template stands alone", line: line)]
        case "autoescape": throw parser.error("the statement \"autoescape\" is not supported")
        default: throw parser.error("the statement \"\(keyword)\" is not known")
        }
    }

    private mutating func branch(_ parser: inout TemplateExpressionParser) throws -> TemplateStatement {
        let line = parser.line
        var branches: [(condition: TemplateExpression, body: [TemplateStatement])] = []
        while true {
            let condition = try parser.tuple(allowsConditional: false)
            try parser.end()
            let (statements, end, rest) = try body(until: ["elif", "else", "endif"], line: line)
            branches.append((condition, statements))
            if end == "elif" {
                parser = rest
                continue
            }
            try rest.end()
            guard end == "else" else { return .branch(branches, otherwise: []) }
            let (otherwise, _, last) = try body(until: ["endif"], line: line)
            try last.end()
            return .branch(branches, otherwise: otherwise)
        }
    }

    private mutating func loop(_ parser: inout TemplateExpressionParser) throws -> TemplateLoopSyntax {
        let line = parser.line
        let target = try parser.target()
        guard parser.takeName("in") else { throw parser.error("expected \"in\"") }
        let sequence = try parser.tuple(allowsConditional: false)
        let condition = parser.takeName("if") ? try parser.expression() : nil
        let isRecursive = parser.takeName("recursive")
        try parser.end()
        loops += 1
        let (statements, end, rest) = try body(until: ["else", "endfor"], line: line)
        loops -= 1
        try rest.end()
        var otherwise: [TemplateStatement] = []
        if end == "else" {
            var last: TemplateExpressionParser
            (otherwise, _, last) = try body(until: ["endfor"], line: line)
            try last.end()
        }
        return TemplateLoopSyntax(
            target: target, sequence: sequence, condition: condition, isRecursive: isRecursive, body: statements,
            otherwise: otherwise)
    }

    private mutating func assignment(_ parser: inout TemplateExpressionParser) throws -> TemplateStatement {
        let line = parser.line
        let target = try parser.target()
        if parser.take("=") {
            let value = try parser.tuple()
            try parser.end()
            return .assign(target, value)
        }
        let filters = try parser.filters(startsWithName: false)
        try parser.end()
        return .capture(target, filters: filters, body: try ownBody(until: "endset", line: line), line: line)
    }

    private mutating func with(_ parser: inout TemplateExpressionParser) throws -> TemplateStatement {
        let line = parser.line
        var variables: [(target: TemplateTarget, value: TemplateExpression)] = []
        while !parser.isAtEnd {
            if !variables.isEmpty, !parser.take(",") { throw parser.error("expected \",\"") }
            let target = TemplateTarget.name(try parser.name())
            guard parser.take("=") else { throw parser.error("expected \"=\"") }
            variables.append((target, try parser.expression()))
        }
        return .scope(variables, body: try ownBody(until: "endwith", line: line))
    }

    private mutating func macro(_ parser: inout TemplateExpressionParser) throws -> TemplateMacroSyntax {
        let line = parser.line
        let name = try parser.name()
        guard parser.take("(") else { throw parser.error("expected \"(\"") }
        let parameters = try parser.parameters()
        try parser.end()
        return try macro(name, parameters, until: "endmacro", line: line)
    }

    private mutating func call(_ parser: inout TemplateExpressionParser) throws -> TemplateStatement {
        let line = parser.line
        let parameters = parser.take("(") ? try parser.parameters() : []
        guard case .call(let callee, let arguments) = try parser.expression().kind else {
            throw parser.error("expected a call")
        }
        try parser.end()
        return .call(callee, arguments, caller: try macro("caller", parameters, until: "endcall", line: line))
    }

    private mutating func macro(
        _ name: String, _ parameters: [(name: String, fallback: TemplateExpression?)], until end: String, line: Int
    ) throws -> TemplateMacroSyntax {
        let start = position
        let statements = try ownBody(until: end, line: line)
        var takes: Set<String> = []
        for part in parts[start..<position] {
            switch part {
            case .statement(let tokens, _), .output(let tokens, _):
                for word in ["varargs", "kwargs", "caller"] where tokens.contains(where: { $0.kind == .name(word) }) {
                    takes.insert(word)
                }
            case .text: break
            }
        }
        return TemplateMacroSyntax(name: name, parameters: parameters, body: statements, takes: takes, line: line)
    }
}
