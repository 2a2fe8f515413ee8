/// A regular expression as `tokenizers` reads it (Oniguruma's syntax), written for the engine of `NSRegularExpression`
/// (ICU's syntax).
///
/// The engines agree in how they search: from left to right, the first alternative that leads to a match. They read the
/// same text differently: `\h` is a hexadecimal digit in one and white space in the other, `a{2}+` is `(?:a{2})+` in one
/// and never gives back in the other, `.` and `$` know other line ends. Every construct is therefore read here and
/// written anew; what has no counterpart is an error.
struct OnigurumaPattern {
    /// The expression in ICU's syntax.
    private(set) var translated = ""

    private var scalars: ArraySlice<Unicode.Scalar>
    private var depth = 0
    /// What `(?x)` and `(?m)` have set where the reader stands.
    private var options = Options()

    struct Options {
        /// White space and comments are not part of the expression.
        var isExtended = false
        /// The dot matches line ends.
        var dotMatchesAll = false
    }

    /// Something that is not understood or has no counterpart.
    struct Unsupported: Error {
        var what: String
    }

    private static let maximumDepth = 64

    /// - Throws: ``Unsupported``.
    init(_ pattern: String) throws {
        scalars = Array(pattern.unicodeScalars)[...]
        translated = try alternatives()
        guard scalars.isEmpty else { throw Unsupported(what: "a closing parenthesis without an opening one") }
    }

    // MARK: - Structure

    /// Alternatives up to a closing parenthesis or the end.
    private mutating func alternatives() throws -> String {
        depth += 1
        defer { depth -= 1 }
        guard depth < Self.maximumDepth else { throw Unsupported(what: "more than \(Self.maximumDepth) nested groups") }
        let outer = options
        defer { options = outer }
        var text = ""
        while let next = scalars.first, next != ")" {
            if next == "|" {
                scalars.removeFirst()
                text += "|"
            } else if let atom = try atom() {
                text += try quantified(atom)
            }
        }
        return text
    }

    /// One thing that may be repeated; nil for what matches nothing by itself, such as a comment.
    private mutating func atom() throws -> String? {
        let first = scalars.removeFirst()
        switch first {
        case "(": return try group()
        case "[": return try OnigurumaClass.read(&scalars)
        case ".": return options.dotMatchesAll ? #"[\x{0}-\x{10FFFF}]"# : #"[^\n]"#
        case "^": return #"(?:\A|(?<=\n)(?!\z))"#
        case "$": return #"(?=\n|\z)"#
        case "\\": return try escape()
        case "*", "+", "?": throw Unsupported(what: "\(first) with nothing before it")
        case " ", "\t", "\n", "\r", "\u{0C}", "\u{0B}":
            return options.isExtended ? nil : Self.literal(first)
        case "#" where options.isExtended:
            while let next = scalars.popFirst(), next != "\n" {}
            return nil
        default: return Self.literal(first)
        }
    }

    private mutating func group() throws -> String? {
        var opening = "("
        if take("?") {
            guard let kind = scalars.popFirst() else { throw Unsupported(what: "an unfinished group") }
            switch kind {
            case "#":
                while let next = scalars.popFirst() {
                    if next == ")" { return nil }
                    if next == "\\" { _ = scalars.popFirst() }
                }
                throw Unsupported(what: "an unfinished comment")
            case ":", "=", "!", ">": opening = "(?\(kind)"
            case "<":
                if take("=") {
                    opening = "(?<="
                } else if take("!") {
                    opening = "(?<!"
                } else {
                    opening = "(?<\(try name(until: ">"))>"
                }
            case "'": opening = "(?<\(try name(until: "'"))>"
            case "i", "m", "x", "-": return try optionGroup(kind)
            default: throw Unsupported(what: "(?\(kind)")
            }
        } else if scalars.first == "*" {
            throw Unsupported(what: "(*")
        }
        let inside = try alternatives()
        guard take(")") else { throw Unsupported(what: "a group without an end") }
        return opening + inside + ")"
    }

    /// `(?i:…)`, and `(?i)`, which holds up to the end of the group, alternatives behind it included.
    private mutating func optionGroup(_ first: Unicode.Scalar) throws -> String {
        var next: Unicode.Scalar? = first, isOn = true, folding: Bool?
        let outer = options
        while let letter = next, letter != ":", letter != ")" {
            switch letter {
            case "-": isOn = false
            case "i": folding = isOn
            case "m": options.dotMatchesAll = isOn
            case "x": options.isExtended = isOn
            default: throw Unsupported(what: "the option \(letter)")
            }
            next = scalars.popFirst()
        }
        guard let end = next else { throw Unsupported(what: "an unfinished group") }
        let opening = folding.map { $0 ? "(?i:" : "(?-i:" } ?? "(?:"
        let inside = try alternatives()
        options = outer
        if end == ":", !take(")") { throw Unsupported(what: "a group without an end") }
        return opening + inside + ")"
    }

    private mutating func name(until end: Unicode.Scalar) throws -> String {
        var name = ""
        while let next = scalars.popFirst(), next != end {
            guard next.isASCII, next.properties.isAlphabetic || next.properties.numericType != nil else {
                throw Unsupported(what: "a group's name of other than letters and digits")
            }
            name.unicodeScalars.append(next)
        }
        return name
    }

    // MARK: - Repeats

    /// An atom with all repeats behind it; each one repeats what stands before it as a whole.
    private mutating func quantified(_ atom: String) throws -> String {
        var text = atom, isAtom = true
        while true {
            if options.isExtended { while scalars.first?.properties.isWhitespace == true { scalars.removeFirst() } }
            guard let (quantifier, isInterval, isFixed) = try quantifier() else { return text }
            if !isAtom { text = "(?:\(text))" }
            isAtom = false
            text += quantifier
            if take("?") {
                // `{n}?` is `(?:…{n})?`; any other repeat becomes one that takes as little as it can.
                text = isFixed ? "(?:\(text))?" : text + "?"
            } else if !isInterval, take("+") {
                text += "+"
            }
        }
    }

    /// A repeat as ICU writes it, whether it is `{…}`, and whether that has one number; nil where there is none.
    private mutating func quantifier() throws -> (text: String, isInterval: Bool, isFixed: Bool)? {
        guard let first = scalars.first else { return nil }
        if first == "*" || first == "+" || first == "?" {
            scalars.removeFirst()
            return (String(Character(first)), false, false)
        }
        guard first == "{", let end = scalars.firstIndex(of: "}") else { return nil }
        let inside = scalars[(scalars.startIndex + 1)..<end]
        let numbers = inside.split(separator: ",", omittingEmptySubsequences: false).map { Self.text($0) }
        guard numbers.count <= 2, numbers != [""], numbers != ["", ""],
            numbers.allSatisfy({ $0.utf8.allSatisfy { 0x30...0x39 ~= $0 } })
        else { return nil }
        scalars = scalars[(end + 1)...]
        let low = numbers[0].isEmpty ? "0" : numbers[0]
        guard numbers.count == 2 else { return ("{\(low)}", true, true) }
        if let most = Int(numbers[1]), let least = Int(low), most < least {
            throw Unsupported(what: "{\(numbers[0]),\(numbers[1])}")
        }
        return ("{\(low),\(numbers[1])}", true, false)
    }

    // MARK: - Characters

    /// Escapes that stand for one text. A word's edge is one of `\w`, which ICU has otherwise.
    private static let escapes: [Unicode.Scalar: String] = {
        let word = OnigurumaClass.word
        return [
            "A": #"\A"#, "z": #"\z"#, "Z": #"(?=\n?\z)"#,
            "b": "(?:(?<=[\(word)])(?![\(word)])|(?<![\(word)])(?=[\(word)]))",
            "B": "(?:(?<=[\(word)])(?=[\(word)])|(?<![\(word)])(?![\(word)]))",
            "R": #"(?>\r\n|[\n-\r\x{85}\x{2028}\x{2029}])"#, "N": #"[^\n]"#, "O": #"[\x{0}-\x{10FFFF}]"#,
        ]
    }()

    private mutating func escape() throws -> String {
        guard let letter = scalars.first else { throw Unsupported(what: #"\ at the end"#) }
        if let whole = Self.escapes[letter] {
            scalars.removeFirst()
            return whole
        }
        switch letter {
        case "1"..."9":
            scalars.removeFirst()
            guard scalars.first.map({ "0"..."9" ~= $0 }) != true else { throw Unsupported(what: "\\\(letter)…") }
            return "(?:\\\(letter))"
        case "k":
            scalars.removeFirst()
            guard take("<") else { throw Unsupported(what: #"\k"#) }
            return "\\k<\(try name(until: ">"))>"
        case "g", "G", "K", "X", "y", "Y", "M", "C", "c":
            throw Unsupported(what: "\\\(letter)")
        default:
            if let named = try OnigurumaClass.namedSet(&scalars) { return "[\(named)]" }
            return Self.literal(try OnigurumaClass.escapedScalar(&scalars))
        }
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard scalars.first == scalar else { return false }
        scalars.removeFirst()
        return true
    }

    static func text(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        return text
    }

    /// A character that stands for itself.
    static func literal(_ scalar: Unicode.Scalar) -> String {
        "a"..."z" ~= scalar || "A"..."Z" ~= scalar || "0"..."9" ~= scalar
            ? String(Character(scalar)) : "\\x{" + String(scalar.value, radix: 16) + "}"
    }
}
