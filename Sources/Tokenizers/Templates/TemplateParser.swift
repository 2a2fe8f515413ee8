/// Builds the statements of a template.
struct TemplateParser {
    /// Statements inside statements, and expressions inside expressions.
    static let maximumDepth = 64

    private let parts: [TemplateLexer.Part]
    private var position = 0
    private var depth = 0
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
            case .output(let tokens):
                var parser = TemplateExpressionParser(tokens, line: line)
                statements.append(.output(try parser.expression()))
                try parser.end()
            case .statement(let tokens):
                var parser = TemplateExpressionParser(tokens, line: line)
                let keyword = try parser.name()
                if ends.contains(keyword) { return (statements, keyword, parser) }
                statements.append(try statement(keyword, &parser))
            }
        }
        guard ends.isEmpty else {
            throw TokenizerError.template(line: line, reason: "no \(ends.last ?? "") for this statement")
        }
        return (statements, "", TemplateExpressionParser([], line: line))
    }

    private mutating func statement(
        _ keyword: String, _ parser: inout TemplateExpressionParser
    ) throws -> TemplateStatement {
        switch keyword {
        case "if": return try branch(&parser)
        case "for": return try loop(&parser)
        case "set": return try assignment(&parser)
        case "break", "continue":
            guard loops > 0 else { throw parser.error("\(keyword) outside of a loop") }
            try parser.end()
            return keyword == "break" ? .leaveLoop : .nextIteration
        default: throw parser.error("the statement \"\(keyword)\" is not supported")
        }
    }

    private mutating func branch(_ parser: inout TemplateExpressionParser) throws -> TemplateStatement {
        let line = parser.line
        var branches: [(condition: TemplateExpression, body: [TemplateStatement])] = []
        while true {
            let condition = try parser.expression()
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

    private mutating func loop(_ parser: inout TemplateExpressionParser) throws -> TemplateStatement {
        let line = parser.line
        var names = [try parser.name()]
        while parser.take(",") { names.append(try parser.name()) }
        guard parser.takeName("in") else { throw parser.error("expected \"in\"") }
        let sequence = try parser.expression(allowsConditional: false)
        let filter = parser.takeName("if") ? try parser.expression() : nil
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
        return .loop(names: names, sequence, filter: filter, body: statements, otherwise: otherwise)
    }

    private mutating func assignment(_ parser: inout TemplateExpressionParser) throws -> TemplateStatement {
        let line = parser.line
        let name = try parser.name()
        let attribute = parser.take(".") ? try parser.name() : nil
        if parser.take("=") {
            let value = try parser.expression()
            try parser.end()
            return .assign(name: name, attribute: attribute, value, line: line)
        }
        try parser.end()
        guard attribute == nil else { throw parser.error("a block assigned to an attribute is not supported") }
        let outerLoops = loops
        loops = 0
        defer { loops = outerLoops }
        let (statements, _, rest) = try body(until: ["endset"], line: line)
        try rest.end()
        return .capture(name: name, body: statements)
    }
}
