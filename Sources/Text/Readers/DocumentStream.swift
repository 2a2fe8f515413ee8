import Tokenizers

/// The documents of several files as pieces of bounded length, with what is damaged refused or skipped.
package struct DocumentStream {
    private let options: DataOptions
    private let chat: ConversationText?
    private var files: ArraySlice<DataFile>
    private var reader: (any DocumentReader)?
    private var path = ""
    private var bytesOfFinishedFiles = 0
    private var sizeOfFile = 0
    /// Whether the current file gave a document or an error.
    private var fileHadContent = false
    /// Whether a document is begun and not ended.
    private var isInsideDocument = false
    /// Whether the rest of the reader's document is passed over, because a part of it is damaged.
    private var isSkippingDocument = false
    /// A piece longer than the limit, given out up to `restStart`.
    private var rest: DocumentPiece?
    private var restStart = 0
    package private(set) var statistics = DataStatistics()

    /// - Parameter chat: what writes conversations as text; without it they are refused.
    package init(_ files: [DataFile], options: DataOptions, chat: ConversationText? = nil) {
        self.options = options
        self.chat = chat
        self.files = files[...]
    }

    /// Bytes of the files that are read.
    package var bytesRead: Int { bytesOfFinishedFiles + (reader?.bytesRead ?? 0) }

    /// The next piece, valid UTF-8 of at most ``DataOptions/maximumPieceBytes``; nil at the end of the last file. It
    /// has no text where damage ends a document early.
    /// - Throws: ``DataError``, after which the stream is not to be used.
    package mutating func next() throws -> DocumentPiece? {
        while true {
            do {
                if let piece = try nextOfFile() { return piece }
                if reader == nil, files.isEmpty { return nil }
            } catch let error as DataError where error.isDamage && options.onError == .skip {
                statistics.skip(error)
                fileHadContent = true
                if isInsideDocument { return ended(DocumentPiece(text: [], place: .file)) }
            }
        }
    }

    /// The next piece of the current file, opened if need be; nil when there is nothing to give out yet.
    private mutating func nextOfFile() throws -> DocumentPiece? {
        if let piece = nextOfRest() { return piece }
        guard reader != nil else {
            guard let file = files.popFirst() else { return nil }
            (path, sizeOfFile) = (file.path, file.size)
            // Counted as read while it is opened, and so for good when it cannot be.
            bytesOfFinishedFiles += file.size
            reader = try DataFormat.reader(of: file.path, options: options, chat: chat)
            bytesOfFinishedFiles -= file.size
            fileHadContent = false
            return nil
        }
        guard let piece = try reader?.next() else {
            reader = nil
            isSkippingDocument = false
            bytesOfFinishedFiles += sizeOfFile
            guard fileHadContent else { throw DataError.empty(file: path) }
            return nil
        }
        fileHadContent = true
        if isSkippingDocument {
            isSkippingDocument = !piece.endsDocument
            return nil
        }
        if let offset = piece.text.withUnsafeBufferPointer(\.firstInvalidUTF8) {
            isSkippingDocument = !piece.endsDocument
            let lines = piece.text[..<offset].count { $0 == UInt8(ascii: "\n") }
            throw DataError.notUTF8(file: path, place: piece.place.advanced(lines: lines))
        }
        if piece.text.isEmpty, !isInsideDocument {
            statistics.emptyDocuments += 1
            return nil
        }
        guard piece.text.count > options.maximumPieceBytes else { return ended(piece) }
        (rest, restStart) = (piece, 0)
        return nextOfRest()
    }

    private mutating func nextOfRest() -> DocumentPiece? {
        guard let rest else { return nil }
        let left = rest.text[restStart...]
        let isLast = left.count <= options.maximumPieceBytes
        let count = isLast ? left.count : textCut(left, limit: options.maximumPieceBytes)
        restStart += count
        if isLast { self.rest = nil }
        return ended(
            DocumentPiece(
                text: Array(left.prefix(count)), place: rest.place, endsDocument: isLast && rest.endsDocument,
                isRendered: rest.isRendered))
    }

    /// The piece as it is given out, counted.
    private mutating func ended(_ piece: DocumentPiece) -> DocumentPiece {
        if !isInsideDocument {
            statistics.documents += 1
            if !piece.endsDocument { statistics.cutDocuments += 1 }
        }
        statistics.textBytes += piece.text.count
        isInsideDocument = !piece.endsDocument
        return piece
    }
}
