/// A piece of a page, well-formed as XML. Text that is put into it is escaped, so that nothing that comes from a file
/// can become markup:
///
///     let row: Markup = "<td>\(name)</td>"
struct Markup: Sendable, ExpressibleByStringInterpolation {
    let text: String

    init(stringLiteral value: String) { text = value }
    init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity) }
        mutating func appendLiteral(_ literal: String) { text += literal }

        /// Markup as it is.
        mutating func appendInterpolation(_ markup: Markup) { text += markup.text }
        mutating func appendInterpolation(_ markup: Markup?) { text += markup?.text ?? "" }
        /// Pieces one after the other.
        mutating func appendInterpolation(_ pieces: [Markup]) { for piece in pieces { text += piece.text } }
        /// Text, escaped.
        mutating func appendInterpolation(_ string: String) { text += Markup.escape(string) }
        mutating func appendInterpolation(_ integer: Int) { text += String(integer) }
        /// A coordinate, to a hundredth.
        mutating func appendInterpolation(_ coordinate: Double) {
            let hundredths = (coordinate * 100).rounded() / 100
            text +=
                hundredths == hundredths.rounded() && hundredths.magnitude < 1e9
                ? String(Int(hundredths)) : String(hundredths)
        }
    }

    private static func escape(_ string: String) -> String {
        var escaped = ""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            // What XML cannot hold (XML 1.0, section 2.2).
            case "\u{0}"..."\u{8}", "\u{B}", "\u{C}", "\u{E}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}":
                escaped += "\u{FFFD}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
