extension TemplateRenderer {
    /// Filters that take any arguments.
    private static let openFilters: Set = ["format", "map", "reject", "rejectattr", "select", "selectattr"]
    /// The others, and the names of their arguments.
    private static let filters: [String: [String]] = [
        "abs": [], "attr": ["name"], "batch": ["linecount", "fill_with"], "capitalize": [], "center": ["width"],
        "count": [], "d": ["default_value", "boolean"], "default": ["default_value", "boolean"],
        "dictsort": ["case_sensitive", "by", "reverse"], "e": [], "escape": [], "filesizeformat": ["binary"],
        "first": [], "float": ["default"], "forceescape": [],
        "groupby": ["attribute", "default", "case_sensitive"], "indent": ["width", "first", "blank"],
        "int": ["default", "base"], "items": [], "join": ["d", "attribute"], "last": [], "length": [], "list": [],
        "lower": [], "max": ["case_sensitive", "attribute"], "min": ["case_sensitive", "attribute"],
        "pprint": [], "random": [], "replace": ["old", "new", "count"],
        "reverse": [], "round": ["precision", "method"], "safe": [],
        "slice": ["slices", "fill_with"], "sort": ["reverse", "case_sensitive", "attribute"], "string": [],
        "striptags": [], "sum": ["attribute", "start"], "title": [],
        "tojson": ["ensure_ascii", "indent", "separators", "sort_keys"], "trim": ["chars"],
        "truncate": ["length", "killwords", "end", "leeway"], "unique": ["case_sensitive", "attribute"], "upper": [],
        "urlencode": [], "wordcount": [],
        "wordwrap": ["width", "break_long_words", "wrapstring", "break_on_hyphens"], "xmlattr": ["autospace"],
    ]

    static func hasFilter(_ name: String) -> Bool { filters[name] != nil || openFilters.contains(name) }

    /// A filter: what it reads is counted before, and what it makes behind it.
    func filter(_ name: String, _ value: TemplateValue, _ arguments: Arguments, _ line: Int) throws -> TemplateValue {
        guard Self.hasFilter(name) else { throw error(line, "the filter \"\(name)\" is not known") }
        try budget.read([value] + arguments.positional + arguments.named.map(\.value), line)
        guard let parameters = Self.filters[name] else { return try openFilter(name, value, arguments, line) }
        let bound = try bind(arguments, to: parameters, of: "the filter \(name)", line)
        return try made(try filter(name, value, bound, line), line)
    }

    /// Filters that take any arguments.
    private func openFilter(
        _ name: String, _ value: TemplateValue, _ arguments: Arguments, _ line: Int
    ) throws -> TemplateValue {
        guard name == "format" else { return try overElements(name, value, arguments, line) }
        guard arguments.named.isEmpty || arguments.positional.isEmpty else {
            throw error(line, "format takes arguments with names or without, not both")
        }
        let values: TemplateValue =
            arguments.named.isEmpty ? .tuple(arguments.positional) : try dictionary(of: arguments.named, line)
        return try made(value.like(try formatted(try text(of: value, line), with: values, line)), line)
    }

    private func filter(
        _ name: String, _ value: TemplateValue, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> TemplateValue {
        func flag(_ parameter: String, _ fallback: Bool = false) -> Bool { arguments[parameter]?.isTrue ?? fallback }
        func number(_ parameter: String, _ fallback: Int) throws -> Int {
            try arguments[parameter].map { try whole($0, line) } ?? fallback
        }
        switch name {
        case "default", "d":
            let replaces = value.isUndefined || flag("boolean") && !value.isTrue
            return replaces ? arguments["default_value"] ?? .string("") : value
        case "length", "count": return .integer(try length(value, line))
        case "first", "last": return try end(of: value, isLast: name == "last", line)
        case "list": return .list(try elements(of: value, line))
        case "reverse": return try reversed(value, line)
        case "items":
            if value.isUndefined { return .list([]) }
            guard case .dictionary(let dictionary) = value else { throw error(line, "items of \(value.kind)") }
            return try iterator(over: value, line) { dictionary.entries.map { .tuple([$0.key, $0.value]) } }
        case "attr":
            let attributeName = try string(arguments["name"] ?? .none, line)
            if value.isUndefined { throw error(line, "\(attributeName) of \(value.kind)") }
            return member(attributeName, of: value) ?? .undefined(attributeName)
        case "join", "sort", "unique", "min", "max", "sum", "groupby", "dictsort", "batch", "slice", "random":
            return try collectionFilter(name, value, arguments, line)
        case "abs":
            if case .number(let number) = value { return .number(number.magnitude) }
            let whole = try whole(value, line)
            guard whole != .min else { throw error(line, "a number that is too large") }
            return .integer(abs(whole))
        case "int": return try integer(value, arguments, line)
        case "float":
            if let number = value.numeric { return .number(number) }
            if value.isUndefined { throw error(line, "float of \(value.kind)") }
            return value.text.flatMap(PythonNumber.number).map { .number($0) } ?? arguments["default"] ?? .number(0)
        case "round": return try rounded(value, arguments, line)
        case "tojson": return .string(try json(of: value, arguments, line))
        case "safe": return .markup(try text(of: value, line))
        case "escape", "e":
            return .markup(TemplateText.escapedForHTML(value.isMarkup ? value : .string(try text(of: value, line))))
        case "forceescape": return .markup(TemplateText.escapedForHTML(.string(try text(of: value, line))))
        case "xmlattr": return .string(try attributes(of: value, startsWithSpace: flag("autospace", true), line))
        case "pprint":
            try budget.checkLength(try budget.visit(value, texts: true, line), line)
            return .string(value.representation)
        case "string": return value.text == nil ? .string(try text(of: value, line)) : value
        case "filesizeformat": return .string(try sizeText(value, isBinary: flag("binary"), line))
        case "urlencode": return .string(try percentEncoded(value, line))
        default: return try textFilter(name, value, try text(of: value, line), arguments, line)
        }
    }

    /// The first or the last element, key or character.
    private func end(of value: TemplateValue, isLast: Bool, _ line: Int) throws -> TemplateValue {
        let missing = TemplateValue.undefined("the \(isLast ? "last" : "first") element")
        switch value {
        case .string(let text), .markup(let text):
            let scalar = isLast ? text.unicodeScalars.last : text.unicodeScalars.first
            return scalar.map { .string(String(Character($0))) } ?? missing
        case .iterator(let iterator):
            if isLast { throw error(line, "the last element of an iterator") }
            return try iterator.next() ?? missing
        default:
            let elements = try elements(of: value, line)
            return (isLast ? elements.last : elements.first) ?? missing
        }
    }

    private func reversed(_ value: TemplateValue, _ line: Int) throws -> TemplateValue {
        if let text = value.text { return .string(TemplateText.joined(text.unicodeScalars.reversed())) }
        let elements = try elements(of: value, line)
        return try iterator(over: value, line) { elements.reversed() }
    }

    private func integer(
        _ value: TemplateValue, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> TemplateValue {
        let fallback = arguments["default"] ?? .integer(0)
        let base = try arguments["base"].map { try whole($0, line) } ?? 10
        if let whole = value.whole { return .integer(whole) }
        if value.isUndefined { throw error(line, "int of \(value.kind)") }
        if let text = value.text, let whole = PythonNumber.integer(text, base: base) { return .integer(whole) }
        guard let number = value.numeric ?? value.text.flatMap(PythonNumber.number), number.isFinite else {
            return fallback
        }
        guard let whole = Int(exactly: number.rounded(.towardZero)) else {
            throw error(line, "a number that is too large")
        }
        return .integer(whole)
    }

    /// `name="value"` for each entry that has a value.
    private func attributes(of value: TemplateValue, startsWithSpace: Bool, _ line: Int) throws -> String {
        guard case .dictionary(let dictionary) = value else { throw error(line, "xmlattr of \(value.kind)") }
        let parts = dictionary.entries.filter { !$0.value.isNone && !$0.value.isUndefined }.map {
            "\(TemplateText.escapedForHTML($0.key))=\"\(TemplateText.escapedForHTML($0.value))\""
        }
        return (startsWithSpace && !parts.isEmpty ? " " : "") + parts.joined(separator: " ")
    }

    private func percentEncoded(_ value: TemplateValue, _ line: Int) throws -> String {
        func encoded(_ value: TemplateValue, keepsSlash: Bool) throws -> String {
            var result = ""
            for byte in try text(of: value, line).utf8 {
                let scalar = Unicode.Scalar(byte)
                let isKept = byte < 0x80 && (scalar.properties.isAlphabetic || 0x30...0x39 ~= byte)
                if isKept || "_.-~".unicodeScalars.contains(scalar) || keepsSlash && scalar == "/" {
                    result.unicodeScalars.append(scalar)
                } else {
                    result += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
                }
            }
            return result
        }
        func pairs(_ pairs: [(TemplateValue, TemplateValue)]) throws -> String {
            try pairs.map { try encoded($0, keepsSlash: false) + "=" + encoded($1, keepsSlash: false) }
                .joined(separator: "&").replacing("%20", with: "+")
        }
        switch value {
        case .dictionary(let dictionary): return try pairs(dictionary.entries.map { ($0.key, $0.value) })
        case .sequence(let sequence):
            return try pairs(
                try sequence.elements.map { element in
                    let pair = try elements(of: element, line)
                    guard pair.count == 2 else { throw error(line, "urlencode takes pairs") }
                    return (pair[0], pair[1])
                })
        default: return try encoded(value, keepsSlash: true)
        }
    }
}
