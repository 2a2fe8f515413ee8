extension TemplateRenderer {
    private static let stringMethods: [String: [String]] = [
        "strip": ["chars"], "lstrip": ["chars"], "rstrip": ["chars"], "upper": [], "lower": [], "title": [],
        "capitalize": [], "swapcase": [], "casefold": [], "split": ["sep", "maxsplit"], "rsplit": ["sep", "maxsplit"],
        "splitlines": ["keepends"], "startswith": ["prefix", "start", "end"], "endswith": ["suffix", "start", "end"],
        "replace": ["old", "new", "count"], "join": ["iterable"], "find": ["sub", "start", "end"],
        "rfind": ["sub", "start", "end"], "index": ["sub", "start", "end"], "rindex": ["sub", "start", "end"],
        "count": ["sub", "start", "end"], "removeprefix": ["prefix"], "removesuffix": ["suffix"],
        "partition": ["sep"], "rpartition": ["sep"], "center": ["width", "fillchar"], "ljust": ["width", "fillchar"],
        "rjust": ["width", "fillchar"], "zfill": ["width"], "expandtabs": ["tabsize"], "isalnum": [], "isalpha": [],
        "isascii": [], "isdecimal": [], "isdigit": [], "isidentifier": [], "islower": [], "isnumeric": [],
        "isprintable": [], "isspace": [], "istitle": [], "isupper": [],
    ]
    /// Methods that change a value, which transformers' Jinja does not allow.
    private static let changingMethods: [String: Set<String>] = [
        "list": ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"],
        "dictionary": ["clear", "pop", "popitem", "setdefault", "update"],
    ]

    /// A method or an attribute that a value of Python has; nil if there is none.
    func member(_ name: String, of value: TemplateValue) -> TemplateValue? {
        func method(_ body: @escaping TemplateFunction.Body) -> TemplateValue { .object(TemplateFunction(name, body)) }
        func changing(_ kind: String) -> TemplateValue? {
            Self.changingMethods[kind]?.contains(name) == true ? .undefined("\(name), which changes a \(kind),") : nil
        }
        switch value {
        case .object(let object): return object.attribute(name)
        case .string(let text), .markup(let text):
            if name == "format" || name == "format_map" {
                return method { arguments, renderer, line in
                    try renderer.budget.read(text, line)
                    return try renderer.made(
                        value.like(try renderer.formatted(text, arguments, isMap: name == "format_map", line)), line)
                }
            }
            guard let parameters = Self.stringMethods[name] else { return nil }
            return method { arguments, renderer, line in
                try renderer.budget.read([value] + arguments.positional + arguments.named.map(\.value), line)
                let bound = try renderer.bind(arguments, to: parameters, of: name, line)
                return try renderer.made(try renderer.stringMethod(name, value, text, bound, line), line)
            }
        case .dictionary(let dictionary):
            return dictionaryMethod(name, dictionary).map(method) ?? changing("dictionary")
        case .sequence(let sequence):
            if case .range(let start, let end, let step) = sequence.kind {
                let bounds = ["start": start, "stop": end, "step": step]
                if let bound = bounds[name] { return .integer(bound) }
            }
            guard sequence.isIndexed else { return nil }
            return sequenceMethod(name, sequence).map(method) ?? (sequence.kind == .list ? changing("list") : nil)
        default: return nil
        }
    }

    private func dictionaryMethod(_ name: String, _ dictionary: TemplateDictionary) -> TemplateFunction.Body? {
        func view(_ elements: @escaping () -> [TemplateValue]) -> TemplateFunction.Body {
            { arguments, renderer, line in
                _ = try renderer.bind(arguments, to: [], of: name, line)
                try renderer.budget.charge(2 * TemplateBudget.cell * dictionary.entries.count, line)
                return try renderer.made(.sequence(TemplateSequence(.view("dict_\(name)"), elements())), line)
            }
        }
        switch name {
        case "items": return view { dictionary.entries.map { .tuple([$0.key, $0.value]) } }
        case "keys": return view { dictionary.entries.map(\.key) }
        case "values": return view { dictionary.entries.map(\.value) }
        case "copy": return { _, _, _ in .dictionary(dictionary) }
        case "get":
            return { arguments, renderer, line in
                let bound = try renderer.bind(arguments, to: ["key", "default"], of: name, line)
                guard let key = bound["key"] else { throw renderer.error(line, "get() needs a key") }
                return try renderer.lookUp(key, in: dictionary, line) ?? bound["default"] ?? .none
            }
        default: return nil
        }
    }

    private func sequenceMethod(_ name: String, _ sequence: TemplateSequence) -> TemplateFunction.Body? {
        switch name {
        case "copy" where sequence.kind == .list: return { _, _, _ in .sequence(sequence) }
        case "count", "index":
            return { arguments, renderer, line in
                guard let sought = arguments.positional.first else {
                    throw renderer.error(line, "\(name)() needs an argument")
                }
                let places = try sequence.elements.indices.filter {
                    try renderer.areEqual(sequence.elements[$0], sought, line)
                }
                if name == "count" { return .integer(places.count) }
                guard let first = places.first else { throw renderer.error(line, "\(sought.kind) is not in the list") }
                return .integer(first)
            }
        default: return nil
        }
    }
}
