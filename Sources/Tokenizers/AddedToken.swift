/// A token that is found in text as a whole, before the text is split into words.
struct AddedToken: Sendable {
    var id: Int32
    var content: String
    /// Control tokens, left out when decoding for people.
    var isSpecial: Bool
    /// Takes the white space on its left with it.
    var stripsLeft: Bool
    /// Takes the white space on its right with it.
    var stripsRight: Bool
    /// Matches only where no word continues on either side.
    var isSingleWord: Bool
    /// Is looked for in the normalised text rather than in the original.
    var isNormalized: Bool

    /// The most bytes of a content; those of models have at most 100.
    static let maximumLength = 1024
    /// The most bytes of all contents; those of models have less than 2 MB.
    static let maximumTotal = 4 << 20

    /// - Parameter id: the token's id, where the node does not say it.
    init(_ node: JSONNode, id: Int? = nil) throws {
        self.id = Int32(try id ?? node.required("id").tokenID())
        content = try Self.content(try node.required("content"))
        isSpecial = try node.flag("special", default: false)
        stripsLeft = try node.flag("lstrip", default: false)
        stripsRight = try node.flag("rstrip", default: false)
        isSingleWord = try node.flag("single_word", default: false)
        isNormalized = try node.flag("normalized", default: !isSpecial)
    }

    /// A token of which only its text is known.
    init(_ text: JSONNode, id: Int32, isSpecial: Bool) throws {
        self.id = id
        content = try Self.content(text)
        self.isSpecial = isSpecial
        (stripsLeft, stripsRight, isSingleWord) = (false, false, false)
        isNormalized = !isSpecial
    }

    private static func content(_ node: JSONNode) throws -> String {
        let content = try node.string()
        guard content.utf8.count <= maximumLength else {
            throw node.expected("at most \(maximumLength) bytes", found: "\(content.utf8.count)")
        }
        return content
    }
}
