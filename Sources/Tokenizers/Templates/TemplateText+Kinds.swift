import Support

extension TemplateText {
    /// What Python's `isalpha`, `isdigit` and so on say of a text.
    static func isOfKind(_ text: String, _ method: String) -> Bool {
        let scalars = text.unicodeScalars
        switch method {
        case "isascii": return scalars.allSatisfy(\.isASCII)
        case "isprintable": return scalars.allSatisfy(isPrintable)
        case "isupper":
            return scalars.contains(where: isUpper) && !scalars.contains { isLower($0) || isTitle($0) }
        case "islower":
            return scalars.contains(where: isLower) && !scalars.contains { isUpper($0) || isTitle($0) }
        case "istitle": return scalars.contains { isUpper($0) || isTitle($0) } && hasSameBytes(titled(text), text)
        case "isidentifier":
            guard let first = scalars.first, first == "_" || first.properties.isXIDStart else { return false }
            return scalars.dropFirst().allSatisfy { $0.properties.isXIDContinue }
        default: return !scalars.isEmpty && scalars.allSatisfy { isOfKind($0, method) }
        }
    }

    private static func hasSameBytes(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }
    private static func isUpper(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isUppercase }
    private static func isLower(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isLowercase }
    private static func isTitle(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .titlecaseLetter
    }

    private static func isOfKind(_ scalar: Unicode.Scalar, _ method: String) -> Bool {
        let numericType = scalar.properties.numericType
        let isLetter =
            switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
            default: false
            }
        switch method {
        case "isspace": return isSpace(scalar)
        case "isalpha": return isLetter
        case "isdecimal": return numericType == .decimal
        case "isdigit": return numericType == .decimal || numericType == .digit
        case "isnumeric": return numericType != nil
        default: return isLetter || numericType != nil
        }
    }
}
