/// A word of a tag, and the line it stands on.
struct TemplateToken: Equatable {
    enum Kind: Equatable {
        case name(String)
        case string(String)
        case integer(Int)
        case number(Double)
        case symbol(String)
    }

    var kind: Kind
    var line: Int
}
