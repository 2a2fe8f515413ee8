/// Cuts a template into text, statements and expressions, and those into tokens.
struct TemplateLexer {
    enum Part {
        case text(String)
        case statement([Token])
        case output([Token])
    }

    struct Token: Equatable {
        enum Kind: Equatable {
            case name(String)
            case string(String)
            case integer(Int)
            case number(Double)
            case symbol(String)
        }

        var kind: Kind
        var line: Int
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

    private init(_ template: String) {
        var scalars: [Unicode.Scalar] = []
        for scalar in template.unicodeScalars {
            if scalar == "\n", scalars.last == "\r" { scalars.removeLast() }
            scalars.append(scalar)
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
            let mark = position < source.count ? source[position] : " "
            if mark == "-" {
                position += 1
                while let last = text.last, last.properties.isWhitespace { text.removeLast() }
            } else if mark == "+" && opening != "{{" {
                position += 1
            } else if opening != "{{" {
                let lineStart = text.lastIndex(of: "\n").map { $0 + 1 } ?? 0
                if lineStart > 0 || beginsLine, text[lineStart...].allSatisfy(\.properties.isWhitespace) {
                    text.removeSubrange(lineStart...)
                }
            }
            if !text.isEmpty { parts.append(.text(Self.string(text[...]))) }
            text = []
            switch opening {
            case "{#": try skipComment()
            case "{%": parts.append(.statement(try tokens(until: "%}")))
            default: parts.append(.output(try tokens(until: "}}")))
            }
            beginsLine = skipAfterTag(trimsNewline: opening != "{{")
        }
        if !text.isEmpty { parts.append(.text(Self.string(text[...]))) }
        return parts
    }

    private mutating func skipComment() throws {
        while position < source.count, !starts("#}") {
            if source[position] == "\n" { line += 1 }
            position += 1
        }
        guard position < source.count else { throw error("a comment without an end") }
        position += 2
    }

    /// Skips the white space that the tag just read takes with it; whether the next text begins a line.
    private mutating func skipAfterTag(trimsNewline: Bool) -> Bool {
        let mark = source[max(0, position - 3)]
        if mark == "-" {
            while position < source.count, source[position].properties.isWhitespace {
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

    private static func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        return String(text)
    }

    private mutating func tokens(until end: String) throws -> [Token] {
        var tokens: [Token] = []
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
            if depth == 0, scalar == "-" || scalar == "+", source[(position + 1)...].starts(with: end.unicodeScalars) {
                position += 3
                return tokens
            }
            if scalar.properties.isWhitespace {
                if scalar == "\n" { line += 1 }
                position += 1
            } else {
                let token = try token()
                if case .symbol(let symbol) = token.kind {
                    if ["(", "[", "{"].contains(symbol) { depth += 1 }
                    if [")", "]", "}"].contains(symbol) { depth -= 1 }
                }
                tokens.append(token)
            }
        }
        throw error("a tag without \(end)")
    }

    private mutating func token() throws -> Token {
        let start = position
        let scalar = source[position]
        func isName(_ scalar: Unicode.Scalar) -> Bool {
            scalar == "_" || scalar.properties.isAlphabetic || isDigit(scalar)
        }
        func isDigit(_ scalar: Unicode.Scalar) -> Bool { "0"..."9" ~= scalar }
        if isDigit(scalar) {
            while position < source.count, isDigit(source[position]) { position += 1 }
            let isFraction = position + 1 < source.count && source[position] == "." && isDigit(source[position + 1])
            if isFraction {
                position += 1
                while position < source.count, isDigit(source[position]) { position += 1 }
            }
            let text = Self.string(source[start..<position])
            if !isFraction, let value = Int(text) { return Token(kind: .integer(value), line: line) }
            if isFraction, let value = Double(text) { return Token(kind: .number(value), line: line) }
            throw error("the number \(text) is too large")
        }
        if isName(scalar) {
            while position < source.count, isName(source[position]) { position += 1 }
            guard position - start <= Self.maximumName else {
                throw error("a name of more than \(Self.maximumName) characters")
            }
            return Token(kind: .name(Self.string(source[start..<position])), line: line)
        }
        if scalar == "'" || scalar == "\"" { return try string(quote: scalar) }
        for symbol in ["==", "!=", "<=", ">=", "//", "**"] where starts(symbol) {
            position += 2
            return Token(kind: .symbol(symbol), line: line)
        }
        guard "()[]{}.,:|=<>+-*/%~".unicodeScalars.contains(scalar) else { throw error("the character \"\(scalar)\"") }
        position += 1
        return Token(kind: .symbol(String(Character(scalar))), line: line)
    }

    private mutating func string(quote: Unicode.Scalar) throws -> Token {
        let first = line
        var text = String.UnicodeScalarView()
        position += 1
        while position < source.count, source[position] != quote {
            var scalar = source[position]
            if scalar == "\n" { line += 1 }
            position += 1
            if scalar == "\\", position < source.count {
                let escapes: [Unicode.Scalar: Unicode.Scalar] = [
                    "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"",
                ]
                guard let escaped = escapes[source[position]] else { throw error("the escape \\\(source[position])") }
                scalar = escaped
                position += 1
            }
            text.append(scalar)
        }
        guard position < source.count else { throw error("a string without an end") }
        position += 1
        return Token(kind: .string(String(text)), line: first)
    }
}
