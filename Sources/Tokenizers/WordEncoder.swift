/// What makes tokens of a word.
protocol WordEncoder: Sendable {
    /// No token goes over the beginning of a run of `▁`.
    var separatesAtMarker: Bool { get }
    /// No token goes over the beginning of a run of spaces, however the vocabulary writes them.
    var separatesAtSpaces: Bool { get }

    /// Appends the ids of `word` to `ids`.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)`` for text that the model has no token for.
    func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], scratch: inout BytePairScratch) throws
}
