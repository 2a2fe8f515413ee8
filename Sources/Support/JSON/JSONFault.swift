/// Why a text is no JSON.
package enum JSONFault: Error, Equatable {
    /// `offset` counts bytes from the text's beginning.
    case malformed(offset: Int, problem: String)
    /// A key appears twice in an object.
    case duplicate(key: String)
}
