/// A string that is compared by its bytes, not by canonical equivalence as `String` compares: vocabularies hold composed and
/// decomposed forms of one character as different tokens.
struct JSONKey: Hashable {
    let text: String

    static func == (left: JSONKey, right: JSONKey) -> Bool { left.text.hasSameBytes(as: right.text) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
