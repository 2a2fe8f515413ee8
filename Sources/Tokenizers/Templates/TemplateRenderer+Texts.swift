import Foundation

extension TemplateRenderer {
    /// Filters of text.
    func textFilter(
        _ name: String, _ value: TemplateValue, _ text: String, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> TemplateValue {
        func number(_ parameter: String, _ fallback: Int) throws -> Int {
            try arguments[parameter].map { try size($0, line) } ?? fallback
        }
        if name == "truncate", value.text == nil {
            let room = try number("length", 255) + number("leeway", 5)
            if try length(value, line) <= room { return value }
        }
        if ["indent", "truncate", "wordwrap"].contains(name), value.text == nil {
            throw error(line, "\(name) takes a string, found \(value.kind)")
        }
        switch name {
        case "trim":
            let characters = try arguments["chars"].flatMap { try $0.isNone ? nil : string($0, line) }
            return value.like(TemplateText.stripped(text, characters, left: true, right: true))
        case "upper": return value.like(text.uppercased())
        case "lower": return value.like(text.lowercased())
        case "capitalize": return value.like(TemplateText.capitalised(text))
        case "title": return .string(Self.titled(text))
        case "replace":
            guard let old = arguments["old"], let new = arguments["new"] else {
                throw error(line, "replace needs two arguments")
            }
            let count = try arguments["count"].flatMap { try $0.isNone ? nil : whole($0, line) } ?? -1
            return .string(
                try replacing(
                    try self.text(of: old, line), with: try self.text(of: new, line), in: text, count: count, line))
        case "center":
            return try stringMethod(name, value, text, ["width": arguments["width"] ?? .integer(80)], line)
        case "wordcount":
            let isWord = { (scalar: Unicode.Scalar) in
                scalar == "_" || TemplateText.isOfKind(String(Character(scalar)), "isalnum")
            }
            var count = 0, isInside = false
            for scalar in text.unicodeScalars {
                let isPart = isWord(scalar)
                if isPart, !isInside { count += 1 }
                isInside = isPart
            }
            return .integer(count)
        case "indent":
            let width = arguments["width"] ?? .integer(4)
            let indent = try width.text ?? padding(try size(width, line), " ", line)
            let first = arguments["first"]?.isTrue ?? false, blank = arguments["blank"]?.isTrue ?? false
            var lines = TemplateText.lines(of: text + "\n", keepsEnds: false)
            if lines.isEmpty { lines = [""] }
            let rest = lines.dropFirst().map { blank || !$0.isEmpty ? indent + $0 : $0 }
            return value.like((first ? indent : "") + (try joined([lines[0]] + rest, separator: "\n", line)))
        case "truncate": return value.like(try truncated(text, arguments, line))
        case "wordwrap": return .string(try wrapped(text, arguments, line))
        default:
            // striptags
            return .string(Self.withoutTags(text))
        }
    }

    /// An upper-case letter behind white space and opening brackets.
    private static func titled(_ text: String) -> String {
        var result = "", begins = true
        for scalar in text.unicodeScalars {
            let properties = scalar.properties
            result += begins ? properties.uppercaseMapping : properties.lowercaseMapping
            begins = TemplateText.isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar)
        }
        return result
    }

    private static func withoutTags(_ text: String) -> String {
        var text = text[...], plain = ""
        while let start = text.range(of: "<") {
            plain += text[..<start.lowerBound]
            let isComment = text[start.lowerBound...].hasPrefix("<!--")
            guard let end = text.range(of: isComment ? "-->" : ">", range: start.lowerBound..<text.endIndex) else {
                plain += text[start.lowerBound...]
                text = ""
                break
            }
            text = text[end.upperBound...]
        }
        plain += text
        let words = TemplateText.words(of: plain, limit: .max).joined(separator: " ")
        let entities = [
            ("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&#34;", "\""), ("&quot;", "\""), ("&amp;", "&"),
        ]
        return entities.reduce(words) { $0.replacing($1.0, with: $1.1) }
    }

    private func truncated(_ text: String, _ arguments: [String: TemplateValue], _ line: Int) throws -> String {
        let length = try arguments["length"].map { try size($0, line) } ?? 255
        let end = try arguments["end"].map { try string($0, line) } ?? "..."
        let leeway = try arguments["leeway"].flatMap { try $0.isNone ? nil : size($0, line) } ?? 5
        let scalars = Array(text.unicodeScalars), room = length - end.unicodeScalars.count
        guard room >= 0, leeway >= 0 else { throw error(line, "truncate with this length") }
        if scalars.count <= length + leeway { return text }
        var kept = scalars[..<room]
        if !(arguments["killwords"]?.isTrue ?? false), let space = kept.lastIndex(of: " ") { kept = kept[..<space] }
        return TemplateText.joined(kept) + end
    }

    /// Lines of at most so many characters, as Python's `textwrap` without its changes of white space makes them.
    private func wrapped(_ text: String, _ arguments: [String: TemplateValue], _ line: Int) throws -> String {
        let width = try arguments["width"].map { try size($0, line) } ?? 79
        let breaksWords = arguments["break_long_words"]?.isTrue ?? true
        let separator = try arguments["wrapstring"].flatMap { try $0.isNone ? nil : string($0, line) } ?? "\n"
        guard width > 0 else { throw error(line, "wordwrap with the width \(width)") }
        let lines = TemplateText.lines(of: text, keepsEnds: false).map { text -> String in
            var lines: [String] = [], current: [Unicode.Scalar] = []
            func end() {
                while let last = current.last, TemplateText.isSpace(last) { current.removeLast() }
                if !current.isEmpty { lines.append(TemplateText.joined(current)) }
                current = []
            }
            for var chunk in Self.chunks(of: Array(text.unicodeScalars)) {
                let isSpace = chunk.first.map(TemplateText.isSpace) ?? false
                if current.count + chunk.count > width {
                    if breaksWords, chunk.count > width, !isSpace {
                        while !chunk.isEmpty, current.count + chunk.count > width {
                            let room = width - current.count
                            current += chunk.prefix(room)
                            chunk.removeFirst(min(room, chunk.count))
                            end()
                        }
                    } else {
                        end()
                    }
                }
                if !(isSpace && current.isEmpty && !lines.isEmpty) { current += chunk }
            }
            end()
            return lines.joined(separator: separator)
        }
        return try joined(lines, separator: separator, line)
    }

    /// Words and the white space between them.
    private static func chunks(of scalars: [Unicode.Scalar]) -> [[Unicode.Scalar]] {
        var chunks: [[Unicode.Scalar]] = []
        for scalar in scalars {
            if let last = chunks.last?.last, TemplateText.isSpace(last) == TemplateText.isSpace(scalar) {
                chunks[chunks.count - 1].append(scalar)
            } else {
                chunks.append([scalar])
            }
        }
        return chunks
    }

    func sizeText(_ value: TemplateValue, isBinary: Bool, _ line: Int) throws -> String {
        guard let size = value.numeric ?? value.text.flatMap(PythonNumber.number) else {
            throw error(line, "filesizeformat of \(value.kind)")
        }
        let base: Double = isBinary ? 1024 : 1000
        if size == 1 { return "1 Byte" }
        if size < base { return size.magnitude < 1e15 ? "\(Int(size)) Bytes" : "\(size) Bytes" }
        let units = ["k", "M", "G", "T", "P", "E", "Z", "Y"]
        let power = min(units.indices.first { size < pow(base, Double($0 + 2)) } ?? 7, 7)
        let unit = isBinary ? units[power].uppercased() + "iB" : units[power] + "B"
        return PythonNumber.text(size / pow(base, Double(power + 1)), type: "f", precision: 1) + " " + unit
    }

    func rounded(
        _ value: TemplateValue, _ arguments: [String: TemplateValue], _ line: Int
    ) throws -> TemplateValue {
        let precision = try arguments["precision"].map { try whole($0, line) } ?? 0
        let method = arguments["method"]?.text ?? "common"
        guard -300...300 ~= precision else { throw error(line, "round with the precision \(precision)") }
        guard let number = value.numeric else { throw error(line, "round of \(value.kind)") }
        let power = pow(10, Double(precision))
        switch method {
        case "common":
            if value.whole != nil, precision >= 0 { return .integer(value.whole ?? 0) }
            if precision >= 0 {
                let text = PythonNumber.text(number, type: "f", precision: precision)
                return .number(Double(text) ?? number)
            }
            let result = (number * power).rounded(.toNearestOrEven) / power
            return value.whole == nil ? .number(result) : Int(exactly: result).map { .integer($0) } ?? .number(result)
        case "ceil": return .number((number * power).rounded(.up) / power)
        case "floor": return .number((number * power).rounded(.down) / power)
        default: throw error(line, "round takes common, ceil or floor, found \"\(method)\"")
        }
    }
}
