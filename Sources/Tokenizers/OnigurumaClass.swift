/// Sets of characters in Oniguruma's syntax, written as ICU reads them.
enum OnigurumaClass {
    typealias Unsupported = OnigurumaPattern.Unsupported

    /// `\w` in a set: letters, marks, decimal digits and connecting punctuation, without the joiners that ICU counts in.
    private static let wordInSet =
        #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}"# + ["L", "M", "Nd", "Pc"].map(NewCharacters.members).joined()
    /// `\w` by itself, to which Oniguruma counts the raised digits and fractions of Latin-1.
    static let word = wordInSet + #"\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}"#
    private static let space =
        #"\t-\r\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"#

    /// The set whose opening bracket has been read.
    /// - Throws: ``OnigurumaPattern/Unsupported``.
    static func read(_ scalars: inout ArraySlice<Unicode.Scalar>, depth: Int = 0) throws -> String {
        guard depth < 16 else { throw Unsupported(what: "more than 16 nested sets") }
        var isNegated = false
        if scalars.first == "^" {
            isNegated = true
            scalars.removeFirst()
        }
        // Every operand of `&&` is a set of its own.
        var operands = [""]
        var isFirst = true
        while let next = scalars.popFirst() {
            if next == "]", !isFirst || !scalars.contains("]") {
                guard operands.allSatisfy({ !$0.isEmpty }) else { throw Unsupported(what: "an empty set") }
                let inside = operands.count == 1 ? operands[0] : operands.map { "[\($0)]" }.joined(separator: "&&")
                return (isNegated ? "[^" : "[") + inside + "]"
            }
            isFirst = false
            if next == "[" {
                operands[operands.count - 1] += try posixSet(&scalars) ?? read(&scalars, depth: depth + 1)
            } else if next == "&", scalars.first == "&" {
                scalars.removeFirst()
                operands.append("")
            } else {
                operands[operands.count - 1] += try member(next, &scalars)
            }
        }
        throw Unsupported(what: "a set without an end")
    }

    /// A character, a range of them, or a named set.
    private static func member(_ first: Unicode.Scalar, _ scalars: inout ArraySlice<Unicode.Scalar>) throws -> String {
        var low = first
        if first == "\\" {
            if let named = try namedSet(&scalars, inSet: true) { return named }
            low = try escapedScalar(&scalars, inSet: true)
        }
        let literal = code(low)
        guard scalars.first == "-", let behind = scalars.dropFirst().first, behind != "]", behind != "[" else {
            return literal
        }
        let rest = scalars
        scalars.removeFirst()
        var high = scalars.removeFirst()
        if high == "\\" {
            if try namedSet(&scalars, inSet: true) != nil {
                // `[a-\d]` is a, a hyphen and digits.
                scalars = rest
                scalars.removeFirst()
                return literal + code("-")
            }
            high = try escapedScalar(&scalars, inSet: true)
        }
        guard low <= high else { throw Unsupported(what: "a range from \(low) down to \(high)") }
        return "\(literal)-\(code(high))"
    }

    private static func code(_ scalar: Unicode.Scalar) -> String { "\\x{" + String(scalar.value, radix: 16) + "}" }

    /// The members of what a letter behind a backslash stands for, such as `\d` and `\p{L}`; nil for a character's escape.
    static func namedSet(_ scalars: inout ArraySlice<Unicode.Scalar>, inSet: Bool = false) throws -> String? {
        guard let letter = scalars.first else { return nil }
        let known: [Unicode.Scalar: String] = [
            "w": inSet ? wordInSet : word, "s": space, "d": #"\p{Nd}"#, "h": "0-9A-Fa-f",
        ]
        if let set = known[letter] {
            scalars.removeFirst()
            return "[\(set)]"
        }
        if "A"..."Z" ~= letter, let lower = Unicode.Scalar(letter.value + 32), let set = known[lower] {
            scalars.removeFirst()
            return "[^\(set)]"
        }
        guard letter == "p" || letter == "P" else { return nil }
        scalars.removeFirst()
        guard scalars.popFirst() == "{", let end = scalars.firstIndex(of: "}") else {
            throw Unsupported(what: "\\\(letter) without a name in braces")
        }
        var name = scalars[..<end]
        scalars = scalars[(end + 1)...]
        var isNegated = letter == "P"
        if name.first == "^" {
            name.removeFirst()
            isNegated.toggle()
        }
        return (isNegated ? "[^" : "[") + (try property(OnigurumaPattern.text(name), inSet: inSet)) + "]"
    }

    /// `[:alpha:]`, whose opening bracket has been read; nil where it is an ordinary set.
    private static func posixSet(_ scalars: inout ArraySlice<Unicode.Scalar>) throws -> String? {
        guard scalars.first == ":" else { return nil }
        var name = scalars.dropFirst().prefix { $0 != ":" && $0 != "]" }
        guard scalars[name.endIndex...].prefix(2).elementsEqual([":", "]"]) else { return nil }
        scalars = scalars[(name.endIndex + 2)...]
        let isNegated = name.first == "^"
        if isNegated { name.removeFirst() }
        guard let set = posix(OnigurumaPattern.text(name)) else {
            throw Unsupported(what: "[:\(OnigurumaPattern.text(name)):]")
        }
        return (isNegated ? "[^" : "[") + set + "]"
    }

    private static func posix(_ name: String) -> String? {
        switch name {
        case "alnum": #"\p{Alphabetic}\p{Nd}"#
        case "alpha": #"\p{Alphabetic}"#
        case "ascii": #"\x{0}-\x{7F}"#
        case "blank": #"\p{Zs}\t"#
        case "cntrl": #"\p{Cc}"#
        case "digit": #"\p{Nd}"#
        case "graph": #"[^\#(space)\p{Cc}\p{Cn}\p{Cs}]"#
        case "lower": #"\p{Lowercase}"#
        case "print": #"[[^\#(space)\p{Cc}\p{Cn}\p{Cs}]\p{Zs}]"#
        case "punct": #"\p{P}\p{S}"#
        case "space": space
        case "upper": #"\p{Uppercase}"#
        case "word": wordInSet
        case "xdigit": "0-9A-Fa-f"
        default: nil
        }
    }

    /// A property's members. Names are read without regard to case, spaces, hyphens and underlines.
    private static func property(_ name: String, inSet: Bool) throws -> String {
        let plain = name.filter { $0 != " " && $0 != "-" && $0 != "_" }
        guard !plain.isEmpty, plain.utf8.allSatisfy({ 0x30...0x39 ~= $0 || 0x61...0x7A ~= $0 | 0x20 }) else {
            throw Unsupported(what: "the property \(name)")
        }
        return switch plain.lowercased() {
        case "word": inSet ? wordInSet : word
        case "punct": #"\p{P}"#
        case let name where posix(name) != nil: posix(name) ?? ""
        case "any": #"\x{0}-\x{10FFFF}"#
        case "assigned": #"\P{Cn}"#
        default: "\\p{\(name)}" + NewCharacters.members(plain)
        }
    }

    /// The character behind a backslash.
    static func escapedScalar(
        _ scalars: inout ArraySlice<Unicode.Scalar>, inSet: Bool = false
    ) throws -> Unicode.Scalar {
        guard let letter = scalars.popFirst() else { throw Unsupported(what: #"\ at the end"#) }
        switch letter {
        case "t": return "\t"
        case "n": return "\n"
        case "r": return "\r"
        case "f": return "\u{0C}"
        case "v": return "\u{0B}"
        case "a": return "\u{07}"
        case "e": return "\u{1B}"
        case "b" where inSet: return "\u{08}"
        case "x" where scalars.first == "{":
            guard let end = scalars.firstIndex(of: "}") else { throw Unsupported(what: #"\x{ without an end"#) }
            let digits = scalars[(scalars.startIndex + 1)..<end]
            scalars = scalars[(end + 1)...]
            return try scalar(digits, radix: 16)
        case "x": return try scalar(digits(&scalars, atMost: 2, radix: 16), radix: 16)
        case "u": return try scalar(digits(&scalars, atMost: 4, radix: 16), radix: 16)
        case "0"..."7":
            scalars.insert(letter, at: scalars.startIndex)
            return try scalar(digits(&scalars, atMost: 3, radix: 8), radix: 8)
        case "c", "C", "M", "R", "X", "N", "O": throw Unsupported(what: "\\\(letter)")
        default: return letter
        }
    }

    private static func digits(
        _ scalars: inout ArraySlice<Unicode.Scalar>, atMost count: Int, radix: Int
    ) -> ArraySlice<Unicode.Scalar> {
        let digits = scalars.prefix(count).prefix {
            $0.isASCII && Character($0).hexDigitValue.map { $0 < radix } == true
        }
        scalars = scalars[digits.endIndex...]
        return digits
    }

    private static func scalar(_ digits: ArraySlice<Unicode.Scalar>, radix: Int) throws -> Unicode.Scalar {
        let text = OnigurumaPattern.text(digits)
        guard let value = UInt32(text, radix: radix), let scalar = Unicode.Scalar(value) else {
            throw Unsupported(what: "the code point \(text)")
        }
        return scalar
    }
}
