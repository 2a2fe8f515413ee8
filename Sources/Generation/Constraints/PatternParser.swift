/// A regular expression.
indirect enum TextPattern: Sendable {
    case characters(ScalarSet)
    case sequence([TextPattern])
    case choice([TextPattern])
    case repeated(TextPattern, least: Int, most: Int?)

    static let anything = TextPattern.repeated(.characters(.all), least: 0, most: nil)
}

/// Reads regular expressions of ECMA-262 but for what is no regular language or looks around: `^` at the beginning and `$` at the end, classes,
/// groups, alternatives, counts. `\d`, `\w`, `\s` and what excludes them mean ASCII characters, as other dialects differ beyond.
struct PatternParser {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var depth = 0

    private static let mostDepth = 64
    /// The most times that a count may say.
    private static let mostCount = 65_536

    /// Why a pattern is not understood.
    struct Fault: Error { var reason: String }

    private init(_ text: String) { scalars = Array(text.unicodeScalars) }

    /// The texts in which `text` is found, as a whole.
    /// - Throws: ``Fault``.
    static func pattern(_ text: String) throws -> TextPattern {
        var parser = PatternParser(text)
        let pattern = try parser.alternatives()
        guard parser.position == parser.scalars.count else { throw parser.fault("a ) that closes nothing") }
        return pattern
    }

    private func fault(_ reason: String) -> Fault { Fault(reason: "\(reason) at character \(position + 1)") }

    private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func take(_ text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard position + wanted.count <= scalars.count,
            scalars[position..<position + wanted.count].elementsEqual(wanted)
        else { return false }
        position += wanted.count
        return true
    }

    // MARK: Structure

    private mutating func alternatives() throws -> TextPattern {
        var choices: [TextPattern] = []
        repeat { choices.append(try alternative()) } while take("|")
        return choices.count == 1 ? choices[0] : .choice(choices)
    }

    private mutating func alternative() throws -> TextPattern {
        let isOutermost = depth == 0
        var parts: [TextPattern] = []
        if isOutermost, !take("^") { parts.append(.anything) }
        while let scalar = next, scalar != "|", scalar != ")" {
            if scalar == "$", isOutermost {
                position += 1
                guard next == nil || next == "|" else { throw fault("$ before the end is not supported,") }
                return .sequence(parts)
            }
            parts.append(try counted(try atom()))
        }
        if isOutermost { parts.append(.anything) }
        return .sequence(parts)
    }

    private mutating func counted(_ atom: TextPattern) throws -> TextPattern {
        let range: (least: Int, most: Int?)
        switch next {
        case "*": range = (0, nil)
        case "+": range = (1, nil)
        case "?": range = (0, 1)
        case "{":
            guard let counts = try counts() else { return atom }
            range = counts
            position -= 1
        default: return atom
        }
        position += 1
        // Lazy or not, it is the same language.
        if next == "?" { position += 1 }
        guard next != "*", next != "+", next != "{" else { throw fault("a count of a count") }
        return .repeated(atom, least: range.least, most: range.most)
    }

    /// `{m}`, `{m,}` or `{m,n}`, up to behind its end.
    private mutating func counts() throws -> (least: Int, most: Int?)? {
        position += 1
        func fault() -> Fault { self.fault("expected {m}, {m,} or {m,n}") }
        guard let least = try number() else { throw fault() }
        var most: Int? = least
        if take(",") { most = try number() }
        guard take("}"), most ?? least >= least else { throw fault() }
        return (least, most)
    }

    private mutating func number() throws -> Int? {
        let start = position
        while let scalar = next, ("0"..."9").contains(scalar) { position += 1 }
        guard position > start else { return nil }
        let text = String(String.UnicodeScalarView(scalars[start..<position]))
        guard let value = Int(text), value <= Self.mostCount else {
            throw fault("a count above \(Self.mostCount)")
        }
        return value
    }

    private mutating func atom() throws -> TextPattern {
        guard let scalar = next else { throw fault("an end") }
        switch scalar {
        case "(":
            depth += 1
            defer { depth -= 1 }
            guard depth <= Self.mostDepth else { throw fault("groups nested deeper than \(Self.mostDepth)") }
            position += 1
            if next == "?" {
                guard take("?:") else {
                    throw fault("a group that looks around, or has a name or flags, is not supported,")
                }
            }
            let inner = try alternatives()
            guard take(")") else { throw fault("a group without an end") }
            return inner
        case "[": return .characters(try characterClass())
        case ".":
            position += 1
            return .characters(ScalarSet.all.subtracting(.lineEnds))
        case "\\": return .characters(try escape(inClass: false).set)
        case "^", "$": throw fault("\(scalar) within a pattern is not supported,")
        case "*", "+", "?", "{": throw fault("a count of nothing")
        default:
            position += 1
            return .characters(ScalarSet([scalar.value...scalar.value]))
        }
    }

    // MARK: Characters

    /// A set, and whether it is one character, which may begin or end a range.
    private mutating func escape(inClass: Bool) throws -> (set: ScalarSet, single: UInt32?) {
        position += 1
        guard let scalar = next else { throw fault("a \\ at the end") }
        func single(_ value: UInt32) -> (ScalarSet, UInt32?) { (ScalarSet([value...value]), value) }
        position += 1
        switch scalar {
        case "d": return (.digits, nil)
        case "w": return (.word, nil)
        case "s": return (.space, nil)
        case "D": return (ScalarSet.ascii.subtracting(.digits), nil)
        case "W": return (ScalarSet.ascii.subtracting(.word), nil)
        case "S": return (ScalarSet.ascii.subtracting(.space), nil)
        case "n": return single(0x0A)
        case "r": return single(0x0D)
        case "t": return single(0x09)
        case "f": return single(0x0C)
        case "v": return single(0x0B)
        case "0" where next.map { !("0"..."9").contains($0) } ?? true: return single(0)
        case "x": return single(try hexadecimal(2))
        case "u": return single(try hexadecimal(4))
        case "b" where inClass: return single(0x08)
        default:
            guard !scalar.properties.isAlphabetic, !("0"..."9").contains(scalar) else {
                position -= 1
                throw fault("\\\(scalar) is not supported,")
            }
            return single(scalar.value)
        }
    }

    private mutating func hexadecimal(_ digits: Int) throws -> UInt32 {
        guard position + digits <= scalars.count else { throw fault("expected \(digits) hexadecimal digits") }
        let text = String(String.UnicodeScalarView(scalars[position..<position + digits]))
        guard let value = UInt32(text, radix: 16), Unicode.Scalar(value) != nil, text.utf8.first != 0x2B else {
            throw fault("expected \(digits) hexadecimal digits of a character")
        }
        position += digits
        return value
    }

    private mutating func characterClass() throws -> ScalarSet {
        position += 1
        let isNegated = take("^")
        var (set, hasClass) = (ScalarSet([]), false)
        while let scalar = next, scalar != "]" {
            let (low, lowSingle) = try member(scalar)
            hasClass = hasClass || lowSingle == nil
            guard let first = lowSingle, next == "-", position + 1 < scalars.count, scalars[position + 1] != "]" else {
                set = set.union(low)
                continue
            }
            position += 1
            guard let last = try member(scalars[position]).single, last >= first else {
                throw fault("a range that ends before it begins")
            }
            set = set.union(ScalarSet([first...last]))
        }
        guard take("]") else { throw fault("a class without an end") }
        guard isNegated else { return set }
        return hasClass ? ScalarSet.ascii.subtracting(set) : set.complement
    }

    private mutating func member(_ scalar: Unicode.Scalar) throws -> (set: ScalarSet, single: UInt32?) {
        if scalar == "\\" { return try escape(inClass: true) }
        position += 1
        return (ScalarSet([scalar.value...scalar.value]), scalar.value)
    }
}

extension JSONGrammar {
    /// A string whose characters are as `pattern` says.
    mutating func string(_ pattern: TextPattern, from start: State) throws -> State {
        let open = try builder.bytes("\"".utf8, from: start)
        return try builder.bytes("\"".utf8, from: try add(pattern, from: open))
    }

    private mutating func add(_ pattern: TextPattern, from state: State) throws -> State {
        switch pattern {
        case .characters(let set):
            let next = try builder.state()
            if !set.isEmpty { builder.call(state, try builder.character(of: set), next) }
            return next
        case .sequence(let parts):
            // A state even of nothing, so that counts of nothing are bounded too.
            let first = try builder.state()
            builder.link(state, first)
            return try parts.reduce(first) { try add($1, from: $0) }
        case .choice(let parts):
            let next = try builder.state()
            for part in parts { builder.link(try add(part, from: state), next) }
            return next
        case .repeated(let part, let least, let most):
            let next = try builder.state()
            var state = state
            for _ in 0..<least { state = try add(part, from: state) }
            if let most {
                for _ in least..<most {
                    builder.link(state, next)
                    state = try add(part, from: state)
                }
                builder.link(state, next)
                return next
            }
            // A state of its own, as what comes before may be the beginning of something else.
            let loop = try builder.state()
            builder.link(state, loop)
            builder.link(try add(part, from: loop), loop)
            builder.link(loop, next)
            return next
        }
    }
}
