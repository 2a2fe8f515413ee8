import Foundation

/// Numbers as Python writes and reads them.
enum PythonNumber {
    /// The shortest text that reads as the same number, with an exponent below 1e-4 and from 1e16 on.
    static func text(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
        let magnitude = value.magnitude
        // Swift begins with exponents before, where all numbers are whole.
        if magnitude < 1e16, magnitude >= 0x1p53 { return "\(Int(value)).0" }
        // Swift writes a few from there on without an exponent: all digits, and ".0".
        guard magnitude >= 1e16, !"\(magnitude)".contains("e") else { return "\(value)" }
        var digits = "\(magnitude)".split(separator: ".")[0]
        let exponent = digits.count - 1
        while digits.count > 1, digits.last == "0" { digits.removeLast() }
        let fraction = digits.dropFirst()
        return (value < 0 ? "-" : "") + digits.prefix(1) + (fraction.isEmpty ? "" : "." + fraction) + "e+\(exponent)"
    }

    /// Written by C's `printf`, whose e, f and g are Python's.
    ///
    /// - Parameter precision: Up to 1000.
    static func text(_ value: Double, type: Character, precision: Int, keepsPoint: Bool = false) -> String {
        guard value.isFinite else {
            let text = value.isNaN ? "nan" : value < 0 ? "-inf" : "inf"
            return type.isUppercase ? text.uppercased() : text
        }
        return String(format: "%\(keepsPoint ? "#" : "").\(precision)\(type)", value)
    }

    /// A whole number as Python's `int(text, base)` reads it; nil if it is none, or too large.
    static func integer(_ text: String, base: Int = 10) -> Int? {
        var digits = TemplateText.stripped(text, nil, left: true, right: true)
        var sign = ""
        if let first = digits.first, first == "-" || first == "+" {
            sign = String(first)
            digits.removeFirst()
        }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where base == radix || base == 0 {
            guard digits.lowercased().hasPrefix(prefix) else { continue }
            return Int(sign + digits.dropFirst(2).replacing("_", with: ""), radix: radix)
        }
        guard digits.first != "_", digits.last != "_", !digits.contains("__"), digits.first != "+", digits.first != "-",
            base == 0 || 2...36 ~= base
        else { return nil }
        return Int(sign + digits.replacing("_", with: ""), radix: base == 0 ? 10 : base)
    }

    /// A number as Python's `float(text)` reads it; nil if it is none.
    static func number(_ text: String) -> Double? {
        let stripped = TemplateText.stripped(text, nil, left: true, right: true).lowercased()
        guard !stripped.contains("x"), !stripped.contains("p"), !stripped.contains("(") else { return nil }
        guard !stripped.hasPrefix("_"), !stripped.hasSuffix("_"), !stripped.contains("__") else { return nil }
        return Double(stripped.replacing("_", with: ""))
    }
}
