extension TemplateRenderer {
    /// A method of Python's strings.
    ///
    /// - Parameters:
    ///   - value: The string or markup, whose kind a new text has.
    ///   - arguments: By the names of the parameters.
    func stringMethod(
        _ name: String, _ value: TemplateValue, _ text: String, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> TemplateValue {
        func argument(_ parameter: String) throws -> String {
            guard let value = arguments[parameter] else {
                throw error(line, "\(name)() needs the argument \(parameter)")
            }
            return try string(value, line)
        }
        func texts(_ parts: [String]) throws -> TemplateValue {
            try budget.charge(TemplateBudget.cell * parts.count, line)
            return .list(parts.map { value.like($0) })
        }
        switch name {
        case "strip", "lstrip", "rstrip":
            let characters = try optional(arguments["chars"]).map { try string($0, line) }
            return value.like(
                TemplateText.stripped(text, characters, left: name != "rstrip", right: name != "lstrip"))
        case "upper": return value.like(text.uppercased())
        case "lower": return value.like(text.lowercased())
        case "casefold": return value.like(text.lowercased().replacing("ß", with: "ss"))
        case "title": return value.like(TemplateText.titled(text))
        case "capitalize": return value.like(TemplateText.capitalised(text))
        case "swapcase":
            return value.like(
                text.unicodeScalars.map {
                    $0.properties.isUppercase ? $0.properties.lowercaseMapping : $0.properties.uppercaseMapping
                }.joined())
        case "split", "rsplit":
            let limit = try arguments["maxsplit"].map { try whole($0, line) } ?? -1
            let cuts = limit < 0 ? Int.max : limit
            guard let separator = try optional(arguments["sep"]).map({ try string($0, line) }) else {
                return try texts(TemplateText.words(of: text, limit: cuts, fromRight: name == "rsplit"))
            }
            guard !separator.isEmpty else { throw error(line, "\(name)() with an empty separator") }
            guard cuts > 0 else { return try texts([text]) }
            return try texts(TemplateText.split(text, by: separator, limit: cuts, fromRight: name == "rsplit"))
        case "splitlines":
            return try texts(TemplateText.lines(of: text, keepsEnds: arguments["keepends"]?.isTrue ?? false))
        case "startswith", "endswith":
            return .bool(try begins(text, isEnd: name == "endswith", arguments, line))
        case "replace":
            let count = try arguments["count"].map { try whole($0, line) } ?? -1
            let (old, new) = (try argument("old"), try argument("new"))
            let content = value.isMarkup ? TemplateText.escapedForHTML(.string(new)) : new
            return value.like(try replacing(old, with: content, in: text, count: count, line))
        case "join":
            guard let parts = arguments["iterable"] else { throw error(line, "join() needs an argument") }
            return value.like(
                try joined(try elements(of: parts, line).map { try string($0, line) }, separator: text, line))
        case "find", "rfind", "index", "rindex", "count": return try search(name, text, arguments, line)
        case "removeprefix":
            let prefix = try argument("prefix")
            let isThere = text.utf8.starts(with: prefix.utf8)
            return value.like(isThere ? String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) : text)
        case "removesuffix":
            let suffix = try argument("suffix")
            let isThere = text.utf8.reversed().starts(with: suffix.utf8.reversed())
            return value.like(isThere ? String(decoding: text.utf8.dropLast(suffix.utf8.count), as: UTF8.self) : text)
        case "partition", "rpartition":
            let separator = try argument("sep"), isLast = name == "rpartition"
            guard !separator.isEmpty else { throw error(line, "\(name)() with an empty separator") }
            let parts = TemplateText.split(text, by: separator, limit: 1, fromRight: isLast)
            let found = parts.count == 2 ? [parts[0], separator, parts[1]] : isLast ? ["", "", text] : [text, "", ""]
            return .tuple(found.map { value.like($0) })
        case "center", "ljust", "rjust", "zfill": return value.like(try padded(name, text, arguments, line))
        case "expandtabs":
            return value.like(try expandingTabs(text, try arguments["tabsize"].map { try size($0, line) } ?? 8, line))
        default: return .bool(TemplateText.isOfKind(text, name))
        }
    }

    /// nil for a value that is missing or none.
    private func optional(_ value: TemplateValue?) -> TemplateValue? { value?.isNone == true ? nil : value }

    /// The part from `start` to `end`, as a slice, and where it begins; nil if there is no such part.
    private func part(
        of text: String, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> (text: String, start: Int)? {
        let start = try optional(arguments["start"]).map { try whole($0, line) }
        let end = try optional(arguments["end"]).map { try whole($0, line) }
        guard start != nil || end != nil else { return (text, 0) }
        let scalars = Array(text.unicodeScalars)
        func place(_ bound: Int) -> Int { max(bound < 0 ? bound &+ scalars.count : bound, 0) }
        let (first, last) = (start.map(place) ?? 0, min(end.map(place) ?? scalars.count, scalars.count))
        return first <= last ? (TemplateText.joined(scalars[first..<last]), first) : nil
    }

    private func begins(
        _ text: String, isEnd: Bool, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> Bool {
        guard let sought = arguments[isEnd ? "suffix" : "prefix"] else {
            throw error(line, "\(isEnd ? "endswith" : "startswith")() needs an argument")
        }
        var choices = [sought]
        if case .sequence(let sequence) = sought, sequence.kind == .tuple { choices = sequence.elements }
        let part = try part(of: text, arguments, line)
        for choice in choices {
            let choice = try string(choice, line)
            guard let part = part?.text else { continue }
            if isEnd
                ? part.utf8.reversed().starts(with: choice.utf8.reversed()) : part.utf8.starts(with: choice.utf8)
            {
                return true
            }
        }
        return false
    }

    private func search(
        _ name: String, _ text: String, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> TemplateValue {
        guard let sought = arguments["sub"] else { throw error(line, "\(name)() needs an argument") }
        let pattern = try string(sought, line)
        guard let (text, start) = try part(of: text, arguments, line) else {
            if name.hasSuffix("index") { throw error(line, "\(sought.kind) is not in the text") }
            return .integer(name == "count" ? 0 : -1)
        }
        let length = text.unicodeScalars.count
        if name == "count" {
            return .integer(
                pattern.isEmpty
                    ? length + 1 : TemplateText.split(text, by: pattern, limit: .max).count - 1)
        }
        let isLast = name.hasPrefix("r")
        if pattern.isEmpty { return .integer(start + (isLast ? length : 0)) }
        let parts = TemplateText.split(text, by: pattern, limit: 1, fromRight: isLast)
        if parts.count == 2 { return .integer(start + parts[0].unicodeScalars.count) }
        if name.hasSuffix("index") { throw error(line, "\(sought.kind) is not in the text") }
        return .integer(-1)
    }

    /// `text` with `new` in place of the first `count` of `old`; of all, where `count` is negative.
    func replacing(_ old: String, with new: String, in text: String, count: Int, _ line: Int) throws -> String {
        if count < 0, !old.isEmpty {
            guard
                let result = ByteSearch.replacing(
                    Array(old.utf8), with: Array(new.utf8), in: Array(text.utf8), limit: TemplateBudget.maximumLength)
            else { throw error(line, "a text that is too long; at most \(TemplateBudget.maximumLength) bytes are") }
            return String(decoding: result, as: UTF8.self)
        }
        if count == 0 { return text }
        if !old.isEmpty {
            return try joined(TemplateText.split(text, by: old, limit: count), separator: new, line)
        }
        // An empty text stands before every character and at the end.
        let scalars = Array(text.unicodeScalars)
        let times = count < 0 ? scalars.count + 1 : min(count, scalars.count + 1)
        try budget.charge(TemplateBudget.cell * scalars.count, line)
        let parts = [""] + scalars[..<(times - 1)].map { String(Character($0)) }
        return try joined(parts, separator: new, line, last: TemplateText.joined(scalars[(times - 1)...]))
    }

    /// Texts with a separator between them; `last` stands behind one more.
    func joined(_ parts: [String], separator: String, _ line: Int, last: String? = nil) throws -> String {
        var result = ""
        for (index, part) in parts.enumerated() {
            try budget.charge(TemplateBudget.step / 4 + part.utf8.count, line)
            try budget.checkLength(result.utf8.count + part.utf8.count + separator.utf8.count, line)
            if index > 0 { result += separator }
            result += part
        }
        if let last { result += separator + last }
        return result
    }

    func padding(_ count: Int, _ filler: Unicode.Scalar = " ", _ line: Int) throws -> String {
        guard count > 0 else { return "" }
        try budget.checkLength(count, line)
        try budget.charge(count, line)
        return String(repeating: Character(filler), count: count)
    }

    private func padded(
        _ name: String, _ text: String, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> String {
        guard let width = arguments["width"] else { throw error(line, "\(name)() needs a width") }
        let filler = try arguments["fillchar"].map { Array(try string($0, line).unicodeScalars) } ?? [" "]
        guard filler.count == 1 else { throw error(line, "\(name)() fills with one character") }
        let target = try size(width, line)
        let missing = target - text.unicodeScalars.count
        guard missing > 0 else { return text }
        switch name {
        case "ljust": return text + (try padding(missing, filler[0], line))
        case "rjust": return try padding(missing, filler[0], line) + text
        case "zfill":
            let sign = text.hasPrefix("-") || text.hasPrefix("+") ? String(text.prefix(1)) : ""
            return sign + (try padding(missing, "0", line)) + text.dropFirst(sign.count)
        default:
            // Python's choice of the side that gets one more.
            let left = missing / 2 + (missing & target & 1)
            return try padding(left, filler[0], line) + text + padding(missing - left, filler[0], line)
        }
    }

    private func expandingTabs(_ text: String, _ size: Int, _ line: Int) throws -> String {
        var result = "", column = 0
        for scalar in text.unicodeScalars {
            if scalar == "\t" {
                let count = size > 0 ? size - column % size : 0
                result += try padding(count, " ", line)
                try budget.checkLength(result.utf8.count, line)
                column += count
            } else {
                result.unicodeScalars.append(scalar)
                column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
            }
        }
        return result
    }
}
