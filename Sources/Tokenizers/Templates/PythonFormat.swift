/// How a value is written: the part of a format behind `%` or behind the colon in `{name:>8.2f}`.
struct PythonFormat {
    var filler: Unicode.Scalar = " "
    /// `<`, `>`, `^` or `=`, which fills behind the sign.
    var alignment: Unicode.Scalar?
    /// `+` or a space before numbers that are not negative.
    var sign: Unicode.Scalar?
    var hasPrefix = false
    var fillsWithZeros = false
    var width = 0
    var grouping: Character?
    var precision: Int?
    var type: Character?
    /// Zeros make up for digits that are missing.
    var leastDigits = 0

    init() {}

    /// - Returns: nil where it is none of Python's.
    init?(_ specification: String) {
        var rest = Array(specification.unicodeScalars)[...]
        let alignments: Set<Unicode.Scalar> = ["<", ">", "^", "="]
        if rest.count > 1, alignments.contains(rest[1]) {
            filler = rest[0]
            alignment = rest[1]
            rest.removeFirst(2)
        } else if let first = rest.first, alignments.contains(first) {
            alignment = first
            rest.removeFirst()
        }
        if let first = rest.first, ["+", "-", " "].contains(first) {
            sign = first == "-" ? nil : first
            rest.removeFirst()
        }
        if rest.first == "#" {
            hasPrefix = true
            rest.removeFirst()
        }
        if rest.first == "0" {
            fillsWithZeros = true
            rest.removeFirst()
        }
        func count() -> Int? {
            let digits = rest.prefix { "0"..."9" ~= $0 }
            rest.removeFirst(digits.count)
            return Int(TemplateText.joined(digits))
        }
        width = count() ?? 0
        if let first = rest.first, first == "," || first == "_" {
            grouping = Character(first)
            rest.removeFirst()
        }
        if rest.first == "." {
            rest.removeFirst()
            guard let digits = count() else { return nil }
            precision = digits
        }
        if let last = rest.popFirst() { type = Character(last) }
        guard rest.isEmpty, type.map({ "bcdeEfFgGnosxX%".contains($0) }) ?? true else { return nil }
    }

    mutating func setFlag(_ flag: Unicode.Scalar) {
        switch flag {
        case "-": alignment = "<"
        case "0": fillsWithZeros = true
        case "#": hasPrefix = true
        default: sign = sign == "+" ? sign : flag
        }
    }

    /// Digits in groups of three, or of four where they are not decimal.
    static func grouped(_ digits: String, by separator: Character, size: Int) -> String {
        let whole = digits.prefix { $0.isHexDigit }
        var result = ""
        for (index, digit) in whole.enumerated() {
            if index > 0, (whole.count - index) % size == 0 { result.append(separator) }
            result.append(digit)
        }
        return result + digits.dropFirst(whole.count)
    }
}
