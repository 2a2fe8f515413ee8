/// What became of a source's files.
public struct DataStatistics: Sendable, Equatable, Codable {
    /// Documents with text.
    public var documents = 0
    /// Documents without, which are left out.
    public var emptyDocuments = 0
    /// Documents longer than ``DataOptions/maximumPieceBytes``.
    public var cutDocuments = 0
    /// Records and files, or rests of files, that were skipped.
    public var skipped = 0
    /// The first of the reasons for skipping.
    public var problems: [String] = []
    /// UTF-8 bytes of text.
    public var textBytes = 0
    /// Tokens of all documents.
    public var tokens = 0

    private static let maximumProblems = 20

    /// Nothing read yet.
    public init() {}

    mutating func skip(_ error: DataError) {
        skipped += 1
        if problems.count < Self.maximumProblems { problems.append(error.description) }
    }
}
