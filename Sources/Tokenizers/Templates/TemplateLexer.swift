/// Cuts a template into text, statements and expressions, and those into tokens.
struct TemplateLexer {
    enum Part {
        case text(String)
        case statement([TemplateToken], line: Int)
        case output([TemplateToken], line: Int)
    }

    /// The most tokens in a tag, which also bounds how deeply expressions are nested.
    private static let maximumTokens = 2000
    /// The most characters of a name: names are looked up again and again.
    private static let maximumName = 200

    private let source: [Unicode.Scalar]
    private var position = 0
    private var line = 1

    static func parts(of template: String) throws -> [Part] {
        var lexer = TemplateLexer(template)
        return try lexer.parts()
    }

    /// Every line end becomes a line feed, and the last one is dropped.
    private init(_ template: String) {
        var scalars: [Unicode.Scalar] = []
        var isAfterReturn = false
        for scalar in template.unicodeScalars {
            if scalar != "\n" || !isAfterReturn { scalars.append(scalar == "\r" ? "\n" : scalar) }
            isAfterReturn = scalar == "\r"
        }
        if scalars.last == "\n" { scalars.removeLast() }
        source = scalars
    }

    private func error(_ reason: String) -> TokenizerError { .template(line: line, reason: reason) }

    private func starts(_ text: String) -> Bool {
        source[position...].starts(with: text.unicodeScalars)
    }

    private mutating func parts() throws -> [Part] {
        var parts: [Part] = []
        var text: [Unicode.Scalar] = []
        // Whether the text since the last tag began at the beginning of a line.
        var beginsLine = true
        while position < source.count {
            guard let opening = ["{%", "{{", "{#"].first(where: starts) else {
                if source[position] == "\n" { line += 1 }
                text.append(source[position])
                position += 1
                continue
            }
            position += 2
            trimEnd(of: &text, beforeOutput: opening == "{{", beginsLine: beginsLine)
            if !text.isEmpty { parts.append(.text(TemplateText.joined(text))) }
            text = []
            let first = line
            switch opening {
            case "{#": try skipComment()
            case "{%":
                if let raw = try rawText() {
                    parts.append(.text(raw))
                } else {
                    parts.append(.statement(try tokens(until: "%}"), line: first))
                }
            default: parts.append(.output(try tokens(until: "}}"), line: first))
            }
            beginsLine = skipAfterTag(trimsNewline: opening != "{{")
        }
        if !text.isEmpty { parts.append(.text(TemplateText.joined(text))) }
        return parts
    }

    /// Takes the white space from the text before a tag that the tag's mark says, and skips the mark.
    private mutating func trimEnd(of text: inout [Unicode.Scalar], beforeOutput: Bool, beginsLine: Bool) {
        let mark = position < source.count ? source[position] : " "
        if mark == "-" {
            position += 1
            while let last = text.last, TemplateText.isSpace(last) { text.removeLast() }
        } else if mark == "+" {
            position += 1
        } else if !beforeOutput {
            let lineStart = text.lastIndex(of: "\n").map { $0 + 1 } ?? 0
            if lineStart > 0 || beginsLine, text[lineStart...].allSatisfy(TemplateText.isSpace) {
                text.removeSubrange(lineStart...)
            }
        }
    }

    private mutating func skipComment() throws {
        while position < source.count, !starts("#}") {
            if source[position] == "\n" { line += 1 }
            position += 1
        }
        guard position < source.count else { throw error("a comment without an end") }
        position += 2
    }

    /// What stands between `raw` and `endraw`, whose tag is then behind; nil, and nothing is read, if this tag is another.
    private mutating func rawText() throws -> String? {
        let start = position
        skipSpaces()
        guard starts("raw") else { return restart(at: start) }
        position += 3
        skipSpaces()
        guard starts("%}") || starts("-%}") || starts("+%}") else { return restart(at: start) }
        position += starts("%}") ? 2 : 3
        // trim_blocks leaves the newline behind this one tag.
        let beginsLine = skipAfterTag(trimsNewline: false)
        var text: [Unicode.Scalar] = []
        while position < source.count {
            let here = position
            if starts("{%") {
                position += 2
                let mark = position < source.count ? source[position] : " "
                if mark == "-" || mark == "+" { position += 1 }
                skipSpaces()
                if starts("endraw") {
                    position += 6
                    skipSpaces()
                    if starts("%}") || starts("-%}") || starts("+%}") {
                        let end = position + (starts("%}") ? 2 : 3)
                        position = here + 2
                        trimEnd(of: &text, beforeOutput: false, beginsLine: beginsLine)
                        position = end
                        return TemplateText.joined(text)
                    }
                }
                position = here
            }
            if source[position] == "\n" { line += 1 }
            text.append(source[position])
            position += 1
        }
        throw error("no endraw for this statement")
    }

    private mutating func restart(at start: Int) -> String? {
        position = start
        return nil
    }

    private mutating func skipSpaces() {
        while position < source.count, TemplateText.isSpace(source[position]) { position += 1 }
    }

    /// Skips the white space that the tag just read takes with it; whether the next text begins a line.
    private mutating func skipAfterTag(trimsNewline: Bool) -> Bool {
        let mark = source[max(0, position - 3)]
        if mark == "-" {
            while position < source.count, TemplateText.isSpace(source[position]) {
                if source[position] == "\n" { line += 1 }
                position += 1
            }
            return position > 0 && source[position - 1] == "\n"
        }
        guard trimsNewline, mark != "+", position < source.count, source[position] == "\n" else { return false }
        line += 1
        position += 1
        return true
    }

    private mutating func tokens(until end: String) throws -> [TemplateToken] {
        var tokens: [TemplateToken] = []
        // Open brackets: "}}" ends an expression only outside of them.
        var depth = 0
        while position < source.count {
            guard tokens.count < Self.maximumTokens else {
                throw error("a tag of more than \(Self.maximumTokens) words")
            }
            let scalar = source[position]
            if depth == 0, starts(end) {
                position += 2
                return tokens
            }
            if depth == 0, scalar == "-" || scalar == "+" && end == "%}",
                source[(position + 1)...].starts(with: end.unicodeScalars)
            {
                position += 3
                return tokens
            }
            if TemplateText.isSpace(scalar) {
                if scalar == "\n" { line += 1 }
                position += 1
            } else {
                let token = try token(isAfterDot: tokens.last?.kind == .symbol("."))
                if case .symbol(let symbol) = token.kind {
                    if ["(", "[", "{"].contains(symbol) { depth += 1 }
                    if [")", "]", "}"].contains(symbol) { depth -= 1 }
                }
                tokens.append(token)
            }
        }
        throw error("a tag without \(end)")
    }

    private mutating func token(isAfterDot: Bool) throws -> TemplateToken {
        let start = position
        let scalar = source[position]
        func isName(_ scalar: Unicode.Scalar) -> Bool {
            scalar == "_" || scalar.properties.isAlphabetic || "0"..."9" ~= scalar
        }
        if "0"..."9" ~= scalar { return TemplateToken(kind: try number(allowsFraction: !isAfterDot), line: line) }
        if isName(scalar) {
            while position < source.count, isName(source[position]) { position += 1 }
            guard position - start <= Self.maximumName else {
                throw error("a name of more than \(Self.maximumName) characters")
            }
            return TemplateToken(kind: .name(TemplateText.joined(source[start..<position])), line: line)
        }
        if scalar == "'" || scalar == "\"" { return try string(quote: scalar) }
        for symbol in ["==", "!=", "<=", ">=", "//", "**"] where starts(symbol) {
            position += 2
            return TemplateToken(kind: .symbol(symbol), line: line)
        }
        guard "()[]{}.,:|=<>+-*/%~".unicodeScalars.contains(scalar) else { throw error("the character \"\(scalar)\"") }
        position += 1
        return TemplateToken(kind: .symbol(String(Character(scalar))), line: line)
    }

    /// A number as Python writes it: 12, 1_000, 0x1F, 1.5, 2e3.
    private mutating func number(allowsFraction: Bool) throws -> TemplateToken.Kind {
        func digits(_ isDigit: (Unicode.Scalar) -> Bool) -> String {
            var text = ""
            while position < source.count {
                let isUnderscore =
                    source[position] == "_" && position + 1 < source.count && isDigit(source[position + 1])
                guard isUnderscore || isDigit(source[position]) else { break }
                if !isUnderscore { text.unicodeScalars.append(source[position]) }
                position += 1
            }
            return text
        }
        func isDecimal(_ scalar: Unicode.Scalar) -> Bool { "0"..."9" ~= scalar }
        func peek(_ offset: Int) -> Unicode.Scalar {
            position + offset < source.count ? source[position + offset] : " "
        }
        let radixes: [Unicode.Scalar: Int] = ["b": 2, "o": 8, "x": 16]
        if source[position] == "0", let radix = radixes[Unicode.Scalar(peek(1).value | 0x20) ?? " "] {
            position += 2
            let text = digits { scalar in
                Character(scalar).hexDigitValue.map { scalar.isASCII && $0 < radix } ?? false
            }
            guard let value = Int(text, radix: radix) else { throw error("a number that is not one, or is too large") }
            return .integer(value)
        }
        var text = digits(isDecimal)
        var isFraction = false
        if allowsFraction, peek(0) == ".", isDecimal(peek(1)) {
            isFraction = true
            position += 1
            text += "." + digits(isDecimal)
        }
        if allowsFraction, peek(0) == "e" || peek(0) == "E" {
            let sign = peek(1) == "+" || peek(1) == "-" ? 1 : 0
            if isDecimal(peek(1 + sign)) {
                isFraction = true
                text += "e" + (sign == 1 ? String(Character(peek(1))) : "")
                position += 1 + sign
                text += digits(isDecimal)
            }
        }
        if !isFraction, let value = Int(text) { return .integer(value) }
        if isFraction, let value = Double(text) { return .number(value) }
        throw error("the number \(text) is too large")
    }

    private mutating func string(quote: Unicode.Scalar) throws -> TemplateToken {
        let first = line
        var text: [Unicode.Scalar] = []
        position += 1
        while position < source.count, source[position] != quote {
            let scalar = source[position]
            if scalar == "\n" { line += 1 }
            position += 1
            if scalar == "\\", position < source.count {
                if source[position] == "\n" { line += 1 }
                text += try escaped()
            } else {
                text.append(scalar)
            }
        }
        guard position < source.count else { throw error("a string without an end") }
        position += 1
        return TemplateToken(kind: .string(TemplateText.joined(text)), line: first)
    }

    /// What a backslash and what follows it stand for in Python; an unknown escape stands for itself.
    private mutating func escaped() throws -> [Unicode.Scalar] {
        let simple: [Unicode.Scalar: Unicode.Scalar] = [
            "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "a": "\u{7}", "b": "\u{8}", "f": "\u{C}",
            "v": "\u{B}",
        ]
        let scalar = source[position]
        position += 1
        if scalar == "\n" { return [] }
        if let value = simple[scalar] { return [value] }
        let lengths: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]
        var code = ""
        if let length = lengths[scalar] {
            let end = min(position + length, source.count)
            code = TemplateText.joined(source[position..<end])
            guard code.utf8.count == length, let value = UInt32(code, radix: 16), let decoded = Unicode.Scalar(value)
            else { throw error("the escape \\\(scalar)\(code)") }
            position = end
            return [decoded]
        }
        guard "0"..."7" ~= scalar else { return ["\\", scalar] }
        code = String(Character(scalar))
        while code.utf8.count < 3, position < source.count, "0"..."7" ~= source[position] {
            code.unicodeScalars.append(source[position])
            position += 1
        }
        return UInt32(code, radix: 8).flatMap { Unicode.Scalar($0) }.map { [$0] } ?? []
    }
}
