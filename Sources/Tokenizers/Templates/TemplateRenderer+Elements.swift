extension TemplateRenderer {
    /// Filters that look at every element: `selectattr("role", "equalto", "user")`, `map(attribute="name")`,
    /// `map("upper")`. Nothing is looked at before the elements are asked for.
    func overElements(
        _ name: String, _ value: TemplateValue, _ arguments: Arguments, _ line: Int
    ) throws -> TemplateValue {
        try iterator(over: value, line) { [self] in
            guard value.isTrue else { return [] }
            let elements = try elements(of: value, line)
            let transform = try name == "map" ? mapping(arguments, line) : selecting(name, arguments, line)
            return try elements.compactMap { element in
                try budget.charge(TemplateBudget.step, line)
                return try transform(element)
            }
        }
    }

    private typealias Transform = (TemplateValue) throws -> TemplateValue?

    private func mapping(_ arguments: Arguments, _ line: Int) throws -> Transform {
        if arguments.positional.isEmpty, arguments.named.contains(where: { $0.name == "attribute" }) {
            let bound = try bind(arguments, to: ["attribute", "default"], of: "map", line)
            let get = try getter(bound["attribute"], fallback: bound["default"], line)
            return { try self.data(try get($0), line) }
        }
        guard let first = arguments.positional.first else { throw error(line, "map needs a filter or an attribute") }
        let name = try string(first, line)
        let rest = Arguments(positional: Array(arguments.positional.dropFirst()), named: arguments.named)
        return { try self.data(try self.filter(name, $0, rest, line), line) }
    }

    private func selecting(_ name: String, _ arguments: Arguments, _ line: Int) throws -> Transform {
        var positional = arguments.positional[...]
        var get: (TemplateValue) throws -> TemplateValue = { $0 }
        if name.hasSuffix("attr") {
            guard let attribute = positional.popFirst() else { throw error(line, "\(name) needs an attribute") }
            get = try getter(attribute, line)
        }
        let keeps = name.hasPrefix("select")
        guard let test = try positional.popFirst().map({ try string($0, line) }) else {
            return { try get($0).isTrue == keeps ? $0 : nil }
        }
        let rest = Arguments(positional: Array(positional), named: arguments.named)
        return { try self.test(test, try get($0), rest, line) == keeps ? $0 : nil }
    }

    /// What an attribute's name, "a.b.0" with others inside, stands for in an element.
    ///
    /// - Parameter lowers: Compares without regard to case.
    func getter(
        _ attribute: TemplateValue?, fallback: TemplateValue? = nil, lowers: Bool = false, _ line: Int
    ) throws -> (TemplateValue) throws -> TemplateValue {
        var path: [TemplateValue] = []
        if let text = attribute?.text {
            path = text.split(separator: ".", omittingEmptySubsequences: false).map { part in
                Int(part).map { .integer($0) } ?? .string(String(part))
            }
        } else if let attribute, !attribute.isNone {
            path = [.integer(try whole(attribute, line))]
        }
        return { [self] value in
            var value = value
            for part in path {
                value = try element(part, of: value, line)
                if value.isUndefined, let fallback { value = fallback }
            }
            return lowers ? value.text.map { .string($0.lowercased()) } ?? value : value
        }
    }

    /// Filters of lists and dictionaries.
    func collectionFilter(
        _ name: String, _ value: TemplateValue, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> TemplateValue {
        let lowers = !(arguments["case_sensitive"]?.isTrue ?? false)
        let attribute = arguments["attribute"]
        switch name {
        case "join":
            let separator = try text(of: arguments["d"] ?? .string(""), line)
            let get = try getter(attribute, line)
            let parts = try elements(of: value, line).map { try text(of: try get($0), line) }
            return .string(try joined(parts, separator: separator, line))
        case "sort":
            let reverse = arguments["reverse"]?.isTrue ?? false
            var getters = [try getter(attribute, lowers: lowers, line)]
            if let names = attribute?.text?.split(separator: ",") {
                getters = try names.map { try getter(.string(String($0)), lowers: lowers, line) }
            }
            return .list(
                try sorted(try elements(of: value, line), reverse: reverse, line) { element in
                    getters.count == 1
                        ? try getters[0](element) : .list(try getters.map { try $0(element) })
                })
        case "unique":
            return try iterator(over: value, line) { [self] in
                let get = try getter(attribute, lowers: lowers, line)
                var seen: [TemplateValue] = [], kept: [TemplateValue] = []
                for element in try elements(of: value, line) {
                    let key = try get(element)
                    if try seen.contains(where: { try areEqual($0, key, line) }) { continue }
                    seen.append(key)
                    kept.append(element)
                }
                return kept
            }
        case "min", "max":
            let get = try getter(attribute, lowers: lowers, line)
            var best: (value: TemplateValue, key: TemplateValue)?
            for element in try elements(of: value, line) {
                let key = try get(element)
                if let (_, other) = best {
                    guard try name == "min" ? precedes(key, other, line) : precedes(other, key, line) else { continue }
                }
                best = (element, key)
            }
            return best?.value ?? .undefined("the \(name) of nothing")
        case "sum":
            let get = try getter(attribute, line)
            return try elements(of: value, line).reduce(arguments["start"] ?? .integer(0)) {
                try arithmetic("+", $0, try get($1), line)
            }
        case "groupby": return try grouped(value, arguments, lowers: lowers, line)
        case "dictsort":
            guard case .dictionary(let dictionary) = value else { throw error(line, "dictsort of \(value.kind)") }
            let side = arguments["by"]?.text ?? "key"
            guard side == "key" || side == "value" else { throw error(line, "dictsort by \"\(side)\"") }
            let get = try getter(.integer(side == "key" ? 0 : 1), lowers: lowers, line)
            let pairs = dictionary.entries.map { TemplateValue.tuple([$0.key, $0.value]) }
            return .list(try sorted(pairs, reverse: arguments["reverse"]?.isTrue ?? false, line, by: get))
        case "batch", "slice": return try parted(name, value, arguments, line)
        default:
            guard let element = try elements(of: value, line).randomElement() else {
                return .undefined("a random element of nothing")
            }
            return element
        }
    }

    /// In order, with equal elements as they were.
    private func sorted(
        _ elements: [TemplateValue], reverse: Bool, _ line: Int, by key: (TemplateValue) throws -> TemplateValue
    ) throws -> [TemplateValue] {
        let keyed = try elements.map { (key: try key($0), value: $0) }
        return try keyed.sorted { try reverse ? precedes($1.key, $0.key, line) : precedes($0.key, $1.key, line) }
            .map(\.value)
    }

    private func grouped(
        _ value: TemplateValue, _ arguments: [String: TemplateValue], lowers: Bool, _ line: Int
    ) throws -> TemplateValue {
        let fallback = arguments["default"]
        let get = try getter(arguments["attribute"], fallback: fallback, lowers: lowers, line)
        let original = try getter(arguments["attribute"], fallback: fallback, line)
        var groups: [(key: TemplateValue, members: [TemplateValue])] = []
        for element in try sorted(try elements(of: value, line), reverse: false, line, by: get) {
            let key = try get(element)
            if let last = groups.last?.key, try areEqual(last, key, line) {
                groups[groups.count - 1].members.append(element)
            } else {
                groups.append((key, [element]))
            }
        }
        return .list(
            try groups.map { group in
                let key = try group.members.first.map { try original($0) } ?? group.key
                return .tuple([lowers ? key : group.key, .list(group.members)])
            })
    }

    /// `batch`: lists of so many elements; `slice`: so many lists.
    private func parted(
        _ name: String, _ value: TemplateValue, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> TemplateValue {
        let count = try whole(arguments[name == "batch" ? "linecount" : "slices"] ?? .none, line)
        let filler = arguments["fill_with"].flatMap { $0.isNone ? nil : $0 }
        guard 1...100_000 ~= count else { throw error(line, "\(name) with \(count)") }
        return try iterator(over: value, line) { [self] in
            let elements = try elements(of: value, line)
            try budget.charge(TemplateBudget.cell * (elements.count + count), line)
            guard name == "batch" else {
                let (size, larger) = elements.count.quotientAndRemainder(dividingBy: count)
                var start = 0
                return (0..<count).map { index in
                    let end = start + size + (index < larger ? 1 : 0)
                    defer { start = end }
                    return .list(
                        Array(elements[start..<end]) + (index >= larger && larger > 0 ? filler.map { [$0] } ?? [] : []))
                }
            }
            return stride(from: 0, to: elements.count, by: count).map { start in
                let part = Array(elements[start..<min(start + count, elements.count)])
                return .list(part + (filler.map { Array(repeating: $0, count: count - part.count) } ?? []))
            }
        }
    }
}
