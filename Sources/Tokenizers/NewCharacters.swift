/// Characters of Unicode 16, which Oniguruma knows and Foundation's regular expressions do not.
enum NewCharacters {
    /// The members of a general category, such as "Lu" or "L", among them, as a set of ICU lists them; empty for other
    /// properties.
    static func members(_ category: String) -> String {
        sets[category.prefix(1).uppercased() + category.dropFirst()] ?? ""
    }

    private static let sets: [String: String] = {
        var ranges: [String: [ClosedRange<UInt32>]] = [:]
        // All of them are letters, marks, digits and symbols of the first two planes.
        for value in UInt32(0x800)..<0x20000 {
            guard let properties = Unicode.Scalar(value)?.properties, properties.age?.major == 16,
                let name = names[properties.generalCategory]
            else { continue }
            for key in [name, String(name.prefix(1))] {
                var known = ranges[key] ?? []
                let start = known.last?.upperBound == value - 1 ? known.removeLast().lowerBound : value
                ranges[key] = known + [start...value]
            }
        }
        func code(_ value: UInt32) -> String { "\\x{" + String(value, radix: 16) + "}" }
        return ranges.mapValues { $0.map { "\(code($0.lowerBound))-\(code($0.upperBound))" }.joined() }
    }()

    private static let names: [Unicode.GeneralCategory: String] = [
        .uppercaseLetter: "Lu", .lowercaseLetter: "Ll", .titlecaseLetter: "Lt", .modifierLetter: "Lm",
        .otherLetter: "Lo", .nonspacingMark: "Mn", .spacingMark: "Mc", .enclosingMark: "Me", .decimalNumber: "Nd",
        .letterNumber: "Nl", .otherNumber: "No", .dashPunctuation: "Pd", .otherPunctuation: "Po",
        .openPunctuation: "Ps",
        .closePunctuation: "Pe", .mathSymbol: "Sm", .currencySymbol: "Sc", .modifierSymbol: "Sk", .otherSymbol: "So",
    ]
}
