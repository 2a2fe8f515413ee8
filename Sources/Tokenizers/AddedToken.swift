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

    init(_ node: JSONNode) throws {
        id = Int32(try node.required("id").tokenID())
        content = try node.required("content").string()
        isSpecial = try node.flag("special", default: false)
        stripsLeft = try node.flag("lstrip", default: false)
        stripsRight = try node.flag("rstrip", default: false)
        isSingleWord = try node.flag("single_word", default: false)
        isNormalized = try node.flag("normalized", default: !isSpecial)
    }
}
