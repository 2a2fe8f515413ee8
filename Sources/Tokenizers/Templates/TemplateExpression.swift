import Support

/// An expression of a template, and the line it stands on.
struct TemplateExpression: Sendable {
    indirect enum Kind: Sendable {
        /// A string, a number, a truth value or none.
        case literal(JSONValue)
        case name(String)
        case list([TemplateExpression])
        case tuple([TemplateExpression])
        case dictionary([(key: TemplateExpression, value: TemplateExpression)])
        case attribute(TemplateExpression, String)
        case index(TemplateExpression, TemplateExpression)
        case slice(TemplateExpression, start: TemplateExpression?, end: TemplateExpression?, step: TemplateExpression?)
        case call(TemplateExpression, TemplateArguments)
        case filter(TemplateExpression, String, TemplateArguments)
        case test(TemplateExpression, String, TemplateArguments)
        case not(TemplateExpression)
        case signed(isNegative: Bool, TemplateExpression)
        case binary(String, TemplateExpression, TemplateExpression)
        /// Comparisons in a chain: `a < b <= c` compares b with both.
        case comparison(TemplateExpression, [(symbol: String, value: TemplateExpression)])
        /// The texts of `~`.
        case concatenation([TemplateExpression])
        case conditional(TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
    }

    var kind: Kind
    var line: Int
}
