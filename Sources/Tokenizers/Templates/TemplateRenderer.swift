/// Executes the statements of a template.
final class TemplateRenderer {
    private enum Flow {
        case next, leaveLoop, nextIteration
    }

    /// The most statements and expressions that are open at once, macros and recursive loops with all in them: more would
    /// need more of the stack than threads have.
    private static let maximumDepth = 700

    var scope: TemplateScope
    private var output = ""
    private var openParts = 0
    /// The scopes that macros were defined in, which hold the macros that hold them.
    private var macroScopes: [TemplateScope] = []
    let budget = TemplateBudget()

    init(variables: [String: TemplateValue]) {
        scope = TemplateScope(Self.globals.merging(variables, uniquingKeysWith: { $1 }))
    }

    func render(_ statements: [TemplateStatement]) throws -> String {
        // Variables hold macros and iterators that hold the renderer.
        defer {
            macroScopes.forEach { $0.variables = [:] }
            scope = TemplateScope()
        }
        // Variables of a template are apart from those it is given, which all of its parts see.
        scope = TemplateScope(in: scope)
        _ = try execute(statements)
        return output
    }

    func error(_ line: Int, _ reason: String) -> TokenizerError { .template(line: line, reason: reason) }

    /// Does something one level deeper.
    func deeper<Result>(_ line: Int, _ body: () throws -> Result) throws -> Result {
        openParts += 1
        defer { openParts -= 1 }
        guard openParts <= Self.maximumDepth else { throw error(line, "nested too deeply") }
        return try body()
    }

    private func execute(_ statements: [TemplateStatement]) throws -> Flow {
        for statement in statements {
            let flow = try deeper(1) { try execute(statement) }
            guard flow == .next else { return flow }
        }
        return .next
    }

    private func execute(_ statement: TemplateStatement) throws -> Flow {
        switch statement {
        case .text(let text): try write(text, line: 1)
        case .output(let expression):
            try write(try text(of: try evaluate(expression), expression.line), line: expression.line)
        case .branch(let branches, let otherwise):
            for (condition, body) in branches where try evaluate(condition).isTrue { return try execute(body) }
            return try execute(otherwise)
        case .loop(let syntax): try loop(syntax)
        case .assign(let target, let expression):
            try assign(try evaluate(expression), to: target, expression.line)
        case .capture(let target, let filters, let body, let line):
            try assign(try filtered(try captured(body), filters, line), to: target, line)
        case .scope(let variables, let body):
            // Values are computed outside of the scope they are for.
            let inner = TemplateScope(in: scope)
            for (target, value) in variables {
                guard case .name(let name) = target else { continue }
                inner.variables[name] = try evaluate(value)
            }
            return try within(inner) { try execute(body) }
        case .filtered(let filters, let body, let line):
            try write(try text(of: try filtered(try captured(body), filters, line), line), line: line)
        case .macro(let syntax): scope.variables[syntax.name] = .object(macro(syntax))
        case .call(let callee, let arguments, let caller):
            var arguments = try evaluate(arguments, callee.line)
            arguments.named.append(("caller", .object(macro(caller))))
            try write(try text(of: try call(callee, arguments), callee.line), line: callee.line)
        case .refused(let reason, let line): throw error(line, reason)
        case .leaveLoop: return .leaveLoop
        case .nextIteration: return .nextIteration
        }
        return .next
    }

    func write(_ text: String, line: Int) throws {
        try budget.charge(TemplateBudget.step + text.utf8.count, line)
        guard output.utf8.count + text.utf8.count <= TemplateBudget.maximumLength else {
            throw error(line, "the output is too long; at most \(TemplateBudget.maximumLength) bytes are written")
        }
        output += text
    }

    private func within<Result>(_ inner: TemplateScope, _ body: () throws -> Result) rethrows -> Result {
        let outer = scope
        scope = inner
        defer { scope = outer }
        return try body()
    }

    /// What statements write, in a scope of their own.
    private func captured(_ body: [TemplateStatement]) throws -> TemplateValue {
        try captured(in: TemplateScope(in: scope)) { _ = try execute(body) }
    }

    private func captured(in inner: TemplateScope, _ body: () throws -> Void) throws -> TemplateValue {
        let outer = output
        output = ""
        defer { output = outer }
        try within(inner, body)
        return .string(output)
    }

    private func filtered(
        _ value: TemplateValue, _ filters: [TemplateFilterSyntax], _ line: Int
    ) throws -> TemplateValue {
        try filters.reduce(value) { value, filter in
            try self.filter(filter.name, value, try evaluate(filter.arguments, line), line)
        }
    }

    private func assign(_ value: TemplateValue, to target: TemplateTarget, _ line: Int) throws {
        switch target {
        case .name(let name): scope.variables[name] = value
        case .attribute(let name, let attribute):
            guard case .object(let object)? = try find(name, line), let namespace = object as? TemplateNamespace else {
                throw error(line, "\(name).\(attribute) is assigned to, but \(name) is not a namespace")
            }
            try set(attribute, of: namespace, value, line)
        case .tuple(let targets):
            let values = try elements(of: value, line)
            guard values.count == targets.count else {
                throw error(line, "expected \(targets.count) values to unpack, found \(value.kind)")
            }
            for (target, value) in zip(targets, values) { try assign(value, to: target, line) }
        }
    }

    func set(_ name: String, of namespace: TemplateNamespace, _ value: TemplateValue, _ line: Int) throws {
        guard !name.hasPrefix("_") else { throw error(line, "a namespace's variable that begins with an underscore") }
        namespace.variables[name] = try data(value, line)
    }

    private func loop(_ syntax: TemplateLoopSyntax) throws {
        let sequence = try evaluate(syntax.sequence)
        try loop(syntax, over: sequence, in: scope, depth: 0)
    }

    private func loop(
        _ syntax: TemplateLoopSyntax, over sequence: TemplateValue, in outer: TemplateScope, depth: Int
    ) throws {
        let line = syntax.sequence.line
        var elements = try elements(of: sequence, line)
        if let condition = syntax.condition {
            elements = try elements.filter { element in
                try within(TemplateScope(in: outer)) {
                    try assign(element, to: syntax.target, line)
                    return try evaluate(condition).isTrue
                }
            }
        }
        if elements.isEmpty {
            _ = try within(TemplateScope(in: outer)) { try execute(syntax.otherwise) }
            return
        }
        let recurse = { [unowned self] (children: TemplateValue, depth: Int, line: Int) in
            try self.captured(in: outer) { try self.loop(syntax, over: children, in: outer, depth: depth) }
        }
        let loop = TemplateLoop(elements, depth: depth, recurse: syntax.isRecursive ? recurse : nil)
        for (index, element) in elements.enumerated() {
            try budget.charge(2 * TemplateBudget.step, line)
            loop.index = index
            let flow = try within(TemplateScope(["loop": .object(loop)], in: outer)) {
                try assign(element, to: syntax.target, line)
                return try execute(syntax.body)
            }
            if flow == .leaveLoop { break }
        }
    }

    /// A macro that sees the variables of the place where it is defined.
    private func macro(_ syntax: TemplateMacroSyntax) -> TemplateFunction {
        let defined = scope
        macroScopes.append(defined)
        return TemplateFunction(syntax.name, isMacro: true) { arguments, renderer, line in
            let inner = TemplateScope(in: defined)
            var named = arguments.named
            func take(_ name: String) -> TemplateValue? {
                guard let index = named.firstIndex(where: { $0.name == name }) else { return nil }
                return named.remove(at: index).value
            }
            return try renderer.captured(in: inner) {
                for (index, parameter) in syntax.parameters.enumerated() {
                    if arguments.positional.indices.contains(index) {
                        inner.variables[parameter.name] = arguments.positional[index]
                    } else if let value = take(parameter.name) {
                        inner.variables[parameter.name] = value
                    } else {
                        inner.variables[parameter.name] =
                            try parameter.fallback.map { try renderer.evaluate($0) } ?? .undefined(parameter.name)
                    }
                }
                if syntax.takes.contains("caller") {
                    inner.variables["caller"] = take("caller") ?? .undefined("caller")
                }
                let rest = Array(arguments.positional.dropFirst(syntax.parameters.count))
                if syntax.takes.contains("varargs") {
                    inner.variables["varargs"] = try renderer.made(.tuple(rest), line)
                } else if !rest.isEmpty {
                    throw renderer.error(
                        line, "\(syntax.name) takes not more than \(syntax.parameters.count) arguments")
                }
                if syntax.takes.contains("kwargs") {
                    inner.variables["kwargs"] = try renderer.dictionary(of: named, line)
                } else if let (name, _) = named.first {
                    throw renderer.error(line, "\(syntax.name) takes no argument \"\(name)\"")
                }
                _ = try renderer.execute(syntax.body)
            }
        }
    }

    func find(_ name: String, _ line: Int) throws -> TemplateValue? {
        var next: TemplateScope? = scope
        while let scope = next {
            try budget.charge(TemplateBudget.step / 4, line)
            if let value = scope.variables[name] { return value }
            next = scope.parent
        }
        return nil
    }
}
