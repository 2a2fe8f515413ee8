/// The variable `loop` of a loop.
final class TemplateLoop: TemplateObject {
    private let elements: [TemplateValue]
    private let depth: Int
    /// What the body writes for other elements, one level deeper; nil where the loop is not recursive.
    private let recurse: ((TemplateValue, Int, Int) throws -> TemplateValue)?
    private var changed: [TemplateValue]?
    var index = 0
    let kind = "the loop"

    /// - Parameter depth: The loops of the same statement around it.
    init(
        _ elements: [TemplateValue], depth: Int, recurse: ((TemplateValue, Int, Int) throws -> TemplateValue)?
    ) {
        self.elements = elements
        self.depth = depth
        self.recurse = recurse
    }

    func attribute(_ name: String) -> TemplateValue? {
        switch name {
        case "index": .integer(index + 1)
        case "index0": .integer(index)
        case "revindex": .integer(elements.count - index)
        case "revindex0": .integer(elements.count - index - 1)
        case "first": .bool(index == 0)
        case "last": .bool(index == elements.count - 1)
        case "length": .integer(elements.count)
        case "depth": .integer(depth + 1)
        case "depth0": .integer(depth)
        case "previtem": index > 0 ? elements[index - 1] : .undefined("there is no previous item")
        case "nextitem":
            index + 1 < elements.count ? elements[index + 1] : .undefined("there is no next item")
        case "cycle":
            .object(
                TemplateFunction(name) { arguments, renderer, line in
                    guard !arguments.positional.isEmpty else {
                        throw renderer.error(line, "no items for cycling given")
                    }
                    return arguments.positional[self.index % arguments.positional.count]
                })
        case "changed":
            .object(
                TemplateFunction(name) { arguments, renderer, line in
                    let values = arguments.positional
                    let isSame = try self.changed.map { try renderer.areEqual($0, values, line) } ?? false
                    self.changed = values
                    return .bool(!isSame)
                })
        default: nil
        }
    }

    func call(_ arguments: TemplateRenderer.Arguments, _ renderer: TemplateRenderer, _ line: Int) throws
        -> TemplateValue
    {
        guard let recurse else {
            throw renderer.error(line, "a loop is called that has no \"recursive\"")
        }
        guard arguments.positional.count == 1 else { throw renderer.error(line, "loop() needs one argument") }
        return try recurse(arguments.positional[0], depth + 1, line)
    }
}
