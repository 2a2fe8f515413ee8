/// The variables of a part of a template, which sees those of the parts around it.
final class TemplateScope {
    var variables: [String: TemplateValue]
    let parent: TemplateScope?

    init(_ variables: [String: TemplateValue] = [:], in parent: TemplateScope? = nil) {
        self.variables = variables
        self.parent = parent
    }
}
