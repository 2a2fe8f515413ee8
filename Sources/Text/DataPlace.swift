/// Where in a data file something is. Lines, row groups, pages and rows count from 1, bytes from 0.
public enum DataPlace: Sendable, Equatable, CustomStringConvertible {
    case file
    case line(Int)
    case byte(Int)
    case footer
    case page(rowGroup: Int, page: Int)
    case row(rowGroup: Int, row: Int)

    public var description: String {
        switch self {
        case .file: "the file"
        case .line(let line): "line \(line)"
        case .byte(let byte): "byte \(byte)"
        case .footer: "the footer"
        case .page(let group, let page): "row group \(group), page \(page)"
        case .row(let group, let row): "row group \(group), row \(row)"
        }
    }

    /// The place after as many line ends.
    func advanced(lines: Int) -> DataPlace {
        if case .line(let line) = self { .line(line + lines) } else { self }
    }
}
