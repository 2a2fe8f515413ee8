import Tokenizers

/// The tokens of files, made by several threads; what comes, and in which order, does not depend on how many.
struct TokenStream {
    private var stream: DocumentStream
    private let map: OrderedMap<[MarkedPiece], TokenisedText>
    private let threads: Int
    private var startsDocument = true
    private var isAtEnd = false
    /// Text that is tokenised as one job, bytes; small beside a file and large beside the cost of handing it over.
    private static let jobBytes = 1 << 18

    /// A stream of `files`, which is to be stopped at its end.
    init(_ files: [DataFile], options: DataOptions, tokenizer: DocumentTokenizer) {
        stream = DocumentStream(files, options: options, chat: ConversationText(tokenizer.tokenizer))
        threads = options.threads
        map = OrderedMap(threads: threads) { try TokenisedText($0, tokenizer) }
    }

    /// Bytes of the files that are read.
    var bytesRead: Int { stream.bytesRead }
    var statistics: DataStatistics { stream.statistics }

    /// The tokens of the next part; nil at the end.
    mutating func next() throws -> TokenisedText? {
        while !isAtEnd {
            map.submit(try job())
            if map.underWay > 2 * threads { break }
        }
        return try map.collect()
    }

    /// Ends the threads.
    func stop() { map.stop() }

    private mutating func job() throws -> [MarkedPiece] {
        var (job, bytes): ([MarkedPiece], Int) = ([], 0)
        while bytes < Self.jobBytes {
            guard let piece = try stream.next() else {
                isAtEnd = true
                break
            }
            job.append(
                MarkedPiece(
                    text: piece.text, startsDocument: startsDocument, endsDocument: piece.endsDocument,
                    isRendered: piece.isRendered))
            startsDocument = piece.endsDocument
            bytes += piece.text.count
        }
        return job
    }
}
