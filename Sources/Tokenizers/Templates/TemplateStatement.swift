/// A statement of a template.
indirect enum TemplateStatement: Sendable {
    case text(String)
    case output(TemplateExpression)
    case branch([(condition: TemplateExpression, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case loop(TemplateLoopSyntax)
    case assign(TemplateTarget, TemplateExpression)
    /// `set` with a body: its text, filtered, becomes the value.
    case capture(TemplateTarget, filters: [TemplateFilterSyntax], body: [TemplateStatement], line: Int)
    /// Statements with variables of their own: `with`, `block`, `generation`.
    case scope([(target: TemplateTarget, value: TemplateExpression)], body: [TemplateStatement])
    case filtered([TemplateFilterSyntax], body: [TemplateStatement], line: Int)
    case macro(TemplateMacroSyntax)
    /// `call`: the macro `caller` is the body.
    case call(TemplateExpression, TemplateArguments, caller: TemplateMacroSyntax)
    /// What a template cannot do, said when it is reached.
    case refused(String, line: Int)
    case leaveLoop
    case nextIteration
}

/// A filter with its arguments, as a block of text is given to it.
struct TemplateFilterSyntax: Sendable {
    var name: String
    var arguments: TemplateArguments
}

/// A loop as it is written.
struct TemplateLoopSyntax: Sendable {
    var target: TemplateTarget
    var sequence: TemplateExpression
    var condition: TemplateExpression?
    var isRecursive: Bool
    var body: [TemplateStatement]
    var otherwise: [TemplateStatement]
}

/// A macro as it is written, or the body of `call`.
struct TemplateMacroSyntax: Sendable {
    var name: String
    var parameters: [(name: String, fallback: TemplateExpression?)]
    var body: [TemplateStatement]
    /// Which of `varargs`, `kwargs` and `caller` the body speaks of; what it does not speak of, it does not take.
    var takes: Set<String>
    var line: Int
}
