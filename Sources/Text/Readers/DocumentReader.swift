/// Reads the documents of one file, in memory that does not grow with the file.
package protocol DocumentReader {
    /// The next document or part of one; nil at the end.
    ///
    /// After an error, the next call goes on with what follows the damage; where nothing can be read behind it, that
    /// call returns nil.
    mutating func next() throws -> DocumentPiece?

    /// Bytes of the file that are read, for progress.
    var bytesRead: Int { get }
}

/// A document, or a part of one.
package struct DocumentPiece: Equatable {
    /// UTF-8, as the file has it.
    package var text: [UInt8]
    /// Where the piece begins.
    package var place: DataPlace
    /// Whether the document ends with this piece.
    package var endsDocument = true
    /// Whether a chat template has written it, with the tokens that begin and end a text where it has them.
    package var isRendered = false
}
