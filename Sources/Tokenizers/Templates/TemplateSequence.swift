/// A list, or what Python has beside lists: equal elements make a list and a tuple no equal values.
struct TemplateSequence {
    enum Kind: Equatable {
        case list, tuple
        case range(start: Int, end: Int, step: Int)
        /// What `keys()`, `values()` and `items()` of a dictionary give, which has no elements by number.
        case view(String)

        var name: String {
            switch self {
            case .list: "list"
            case .tuple: "tuple"
            case .range: "range"
            case .view(let name): name
            }
        }
    }

    let kind: Kind
    let elements: [TemplateValue]
    let depth: Int

    init(_ kind: Kind, _ elements: [TemplateValue]) {
        self.kind = kind
        self.elements = elements
        depth = 1 + (elements.lazy.map(\.depth).max() ?? 0)
    }

    /// Whether elements are taken by number, and slices.
    var isIndexed: Bool { if case .view = kind { false } else { true } }
}
