/// The arguments of a call, a filter or a test, as they are written.
struct TemplateArguments: Sendable {
    var positional: [TemplateExpression] = []
    var named: [(name: String, value: TemplateExpression)] = []
    /// `*values`.
    var spread: TemplateExpression?
    /// `**values`.
    var spreadNamed: TemplateExpression?
}
