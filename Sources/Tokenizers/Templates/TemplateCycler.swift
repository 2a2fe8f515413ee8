/// What `cycler()` returns: values that come one after another, again and again.
final class TemplateCycler: TemplateObject {
    private let values: [TemplateValue]
    private var position = 0
    let kind = "a cycler"

    /// - Parameter values: At least one.
    init(_ values: [TemplateValue]) {
        self.values = values
    }

    func attribute(_ name: String) -> TemplateValue? {
        switch name {
        case "current": return values[position]
        case "next":
            return .object(
                TemplateFunction(name) { _, _, _ in
                    defer { self.position = (self.position + 1) % self.values.count }
                    return self.values[self.position]
                })
        case "reset":
            return .object(
                TemplateFunction(name) { _, _, _ in
                    self.position = 0
                    return .none
                })
        default: return nil
        }
    }
}
