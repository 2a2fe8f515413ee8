/// A function, a method with its value, or a macro.
final class TemplateFunction: TemplateObject {
    typealias Body = (TemplateRenderer.Arguments, TemplateRenderer, Int) throws -> TemplateValue

    let name: String
    /// Whether a list may hold it: what a macro sees is held by the renderer.
    let isMacro: Bool
    private let body: Body

    init(_ name: String, isMacro: Bool = false, _ body: @escaping Body) {
        self.name = name
        self.isMacro = isMacro
        self.body = body
    }

    var kind: String { "the function \(name)" }

    func attribute(_ name: String) -> TemplateValue? { name == "name" ? .string(self.name) : nil }

    func call(_ arguments: TemplateRenderer.Arguments, _ renderer: TemplateRenderer, _ line: Int) throws
        -> TemplateValue
    {
        try body(arguments, renderer, line)
    }
}
