/// What most filters give: elements that are made when they are first asked for, and can be gone through once.
final class TemplateIterator {
    private var source: (() throws -> [TemplateValue])?
    private var elements: ArraySlice<TemplateValue> = []
    let depth: Int

    /// - Parameter depth: That of the values it is made from.
    init(depth: Int, _ source: @escaping () throws -> [TemplateValue]) {
        self.source = source
        self.depth = depth + 1
    }

    private func begin() throws {
        guard let source else { return }
        self.source = nil
        elements = try source()[...]
    }

    func next() throws -> TemplateValue? {
        try begin()
        return elements.popFirst()
    }

    /// All elements that are left.
    func rest() throws -> [TemplateValue] {
        try begin()
        defer { elements = [] }
        return Array(elements)
    }
}
