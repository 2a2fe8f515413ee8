/// A statement of a template.
enum TemplateStatement: Sendable {
    case text(String)
    case output(TemplateExpression)
    case branch([(condition: TemplateExpression, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case loop(
        names: [String], TemplateExpression, filter: TemplateExpression?, body: [TemplateStatement],
        otherwise: [TemplateStatement])
    case assign(name: String, attribute: String?, TemplateExpression, line: Int)
    case capture(name: String, body: [TemplateStatement])
    case leaveLoop
    case nextIteration
}

/// An expression, and the line it stands on.
struct TemplateExpression: Sendable {
    indirect enum Kind: Sendable {
        case literal(JSONValue)
        case name(String)
        case list([TemplateExpression])
        case dictionary([(key: TemplateExpression, value: TemplateExpression)])
        case attribute(TemplateExpression, String)
        case index(TemplateExpression, TemplateExpression)
        case slice(TemplateExpression, start: TemplateExpression?, end: TemplateExpression?, step: TemplateExpression?)
        case call(TemplateExpression, TemplateArguments)
        case filter(TemplateExpression, String, TemplateArguments)
        case test(TemplateExpression, String, TemplateArguments)
        case not(TemplateExpression)
        case negative(TemplateExpression)
        case binary(String, TemplateExpression, TemplateExpression)
        case conditional(TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
    }

    var kind: Kind
    var line: Int
}

/// The arguments of a call, a filter or a test.
struct TemplateArguments: Sendable {
    var positional: [TemplateExpression] = []
    var named: [(name: String, value: TemplateExpression)] = []
}
