/// A value with attributes, or one that can be called. It is not data: no list, dictionary or namespace holds one but a
/// macro, so that values cannot nest without an end by way of objects.
protocol TemplateObject: AnyObject {
    /// What it is, in the words of an error message.
    var kind: String { get }

    func attribute(_ name: String) -> TemplateValue?

    /// - Throws: ``TokenizerError/template(line:reason:)`` where it is no function.
    func call(_ arguments: TemplateRenderer.Arguments, _ renderer: TemplateRenderer, _ line: Int) throws
        -> TemplateValue
}

extension TemplateObject {
    func attribute(_ name: String) -> TemplateValue? { nil }

    func call(_ arguments: TemplateRenderer.Arguments, _ renderer: TemplateRenderer, _ line: Int) throws
        -> TemplateValue
    {
        throw renderer.error(line, "\(kind) is called, which is not a function")
    }
}
