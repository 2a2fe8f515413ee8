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

    init(_ node: JSONNode) throws {
        id = Int32(try node.required("id").tokenID())
        let text = try node.required("content")
        content = try text.string()
        guard content.utf8.count <= Self.maximumLength else {
            throw TokenizerError.invalidValue(
                file: text.file, path: text.path, expected: "at most \(Self.maximumLength) bytes",
                found: "\(content.utf8.count)")
        }
        isSpecial = try node.flag("special", default: false)
        stripsLeft = try node.flag("lstrip", default: false)
        stripsRight = try node.flag("rstrip", default: false)
        isSingleWord = try node.flag("single_word", default: false)
        isNormalized = try node.flag("normalized", default: !isSpecial)
    }
}
