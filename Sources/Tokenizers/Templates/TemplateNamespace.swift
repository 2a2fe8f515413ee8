/// What `namespace()` returns: variables that a loop may assign to.
final class TemplateNamespace: TemplateObject {
    var variables: [String: TemplateValue]
    let kind = "a namespace"

    init(_ variables: [String: TemplateValue]) {
        self.variables = variables
    }

    func attribute(_ name: String) -> TemplateValue? { variables[name] }
}
