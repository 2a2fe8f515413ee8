extension TemplateRenderer {
    /// A text in a field.
    func written(_ format: PythonFormat, text: String, _ line: Int) throws -> String {
        var text = text
        if let precision = format.precision { text = TemplateText.joined(text.unicodeScalars.prefix(precision)) }
        guard format.alignment != "=" else { throw error(line, "a format that aligns a text as a number") }
        return try filled(text, format, alignment: format.alignment ?? "<", line)
    }

    /// A number in a field.
    func written(_ format: PythonFormat, _ value: TemplateValue, _ line: Int) throws -> String {
        guard format.precision ?? 0 <= 1000, format.leastDigits <= 1000, format.width <= 1_000_000 else {
            throw error(line, "a format with a width or a precision that is too large")
        }
        var (digits, isNegative, prefix) = ("", false, "")
        if let whole = value.whole, format.type.map({ "bcdnoxX".contains($0) }) ?? true {
            if format.type == "c" {
                guard let scalar = UInt32(exactly: whole).flatMap({ Unicode.Scalar($0) }) else {
                    throw error(line, "a number that is no character")
                }
                return try filled(String(Character(scalar)), format, alignment: format.alignment ?? ">", line)
            }
            guard format.precision == nil else { throw error(line, "a precision for a whole number") }
            let bases: [Character: (Int, String)] = ["b": (2, "0b"), "o": (8, "0o"), "x": (16, "0x"), "X": (16, "0X")]
            let (radix, mark) = format.type.flatMap { bases[$0] } ?? (10, "")
            digits = String(whole.magnitude, radix: radix, uppercase: format.type == "X")
            isNegative = whole < 0
            prefix = format.hasPrefix ? mark : ""
            digits = try padding(format.leastDigits - digits.utf8.count, "0", line) + digits
            if let grouping = format.grouping {
                digits = PythonFormat.grouped(digits, by: grouping, size: radix == 10 ? 3 : 4)
            }
        } else {
            guard let number = value.numeric, !"bcdoxX".contains(format.type ?? "f") else {
                throw error(line, "a format of whole numbers for \(value.kind)")
            }
            isNegative = number.sign == .minus && !number.isNaN
            digits = Self.digits(of: number.magnitude, format)
            if let grouping = format.grouping { digits = PythonFormat.grouped(digits, by: grouping, size: 3) }
        }
        let sign = isNegative ? "-" : format.sign.map { String(Character($0)) } ?? ""
        if format.fillsWithZeros, format.alignment == nil {
            let missing = format.width - sign.utf8.count - prefix.utf8.count - digits.utf8.count
            return sign + prefix + (try padding(missing, "0", line)) + digits
        }
        if format.alignment == "=" {
            let missing = format.width - sign.utf8.count - prefix.utf8.count - digits.utf8.count
            return sign + prefix + (try padding(missing, format.filler, line)) + digits
        }
        return try filled(sign + prefix + digits, format, alignment: format.alignment ?? ">", line)
    }

    private static func digits(of number: Double, _ format: PythonFormat) -> String {
        switch format.type {
        case "%":
            return PythonNumber.text(number * 100, type: "f", precision: format.precision ?? 6) + "%"
        case "e", "E", "f", "F", "g", "G":
            return PythonNumber.text(
                number, type: format.type ?? "f", precision: format.precision ?? 6, keepsPoint: format.hasPrefix)
        case "n": return PythonNumber.text(number, type: "g", precision: format.precision ?? 6)
        default:
            guard let precision = format.precision else { return PythonNumber.text(number) }
            let text = PythonNumber.text(number, type: "g", precision: max(precision, 1))
            // Without a type, a number keeps a digit behind the point.
            if text.contains(where: { ".en".contains($0) }) { return text }
            return text.utf8.count < precision
                ? text + ".0" : number == 0 ? "0.0" : PythonNumber.text(number, type: "e", precision: precision - 1)
        }
    }

    private func filled(
        _ text: String, _ format: PythonFormat, alignment: Unicode.Scalar, _ line: Int
    ) throws -> String {
        let missing = min(format.width, TemplateBudget.maximumLength + 1) - text.unicodeScalars.count
        guard missing > 0 else { return text }
        let filler: Unicode.Scalar = format.fillsWithZeros && format.filler == " " ? "0" : format.filler
        switch alignment {
        case "<": return text + (try padding(missing, filler, line))
        case "^": return try padding(missing / 2, filler, line) + text + padding(missing - missing / 2, filler, line)
        default: return try padding(missing, filler, line) + text
        }
    }
}
