import Checkpoints
import Foundation
import Tokenizers

/// A folder that keeps the tokens of sources from run to run.
struct ShardCache {
    let folder: String
    let options: DataOptions
    let tokenizer: DocumentTokenizer
    /// Text that is tokenised as one job, bytes; small beside a file and large beside the cost of handing it over.
    private static let jobBytes = 1 << 18

    /// The tokens of `files`: those that are kept, when the files, the tokenizer and the options are the same and the
    /// shards sound, and otherwise made now. Another process that asks for the same waits meanwhile.
    /// - Parameter progress: called with bytes of the files read; throwing stops, and leaves nothing behind.
    func shards(of files: [DataFile], progress: (Int) throws -> Void) throws -> TokenShards {
        let origin = ShardManifest.Origin(
            files: files, tokenizer: tokenizer.hash, bytesPerToken: tokenizer.bytesPerToken, textKey: options.textKey,
            separator: options.separator, onError: options.onError, maximumPieceBytes: options.maximumPieceBytes,
            maximumLineBytes: options.maximumLineBytes, shardTokens: options.shardTokens)
        try createFolder(folder)
        // Named after the files alone, so that what is out of date is replaced and does not pile up.
        let paths = files.map(\.path).joined(separator: "\n")
        let place = "\(folder)/\(XXHash64.text(Data((paths + tokenizer.hash).utf8)))"
        return try locked("\(place).lock") {
            if let kept = TokenShards(folder: place, origin: origin) {
                try progress(files.reduce(0) { $0 + $1.size })
                return kept
            }
            let partial = "\(place).partial"
            try remove(partial)
            try createFolder(partial)
            do {
                try make(origin, in: partial, progress: progress)
                try remove(place)
                guard rename(partial, place) == 0 else {
                    throw DataError.unwritable(path: place, reason: String(cString: strerror(errno)))
                }
            } catch {
                try? FileManager.default.removeItem(atPath: partial)
                throw error
            }
            guard let made = TokenShards(folder: place, origin: origin) else {
                throw DataError.unwritable(path: place, reason: "it does not read as it was written; check the disk")
            }
            return made
        }
    }

    /// Tokenises the files into shards and a manifest in `folder`.
    private func make(_ origin: ShardManifest.Origin, in folder: String, progress: (Int) throws -> Void) throws {
        var stream = DocumentStream(origin.files, options: options)
        var writer = ShardWriter(
            folder: folder, bytesPerToken: origin.bytesPerToken, shardTokens: origin.shardTokens)
        let map = OrderedMap<[MarkedPiece], TokenisedText>(threads: options.threads) { [tokenizer] pieces in
            try TokenisedText(pieces, tokenizer)
        }
        defer { map.stop() }
        var startsDocument = true
        var job: [MarkedPiece] = []
        var jobBytes = 0
        while let piece = try stream.next() {
            job.append(
                MarkedPiece(text: piece.text, startsDocument: startsDocument, endsDocument: piece.endsDocument))
            startsDocument = piece.endsDocument
            jobBytes += piece.text.count
            guard jobBytes >= Self.jobBytes else { continue }
            map.submit(job)
            (job, jobBytes) = ([], 0)
            guard map.underWay > 2 * options.threads else { continue }
            if let text = try map.collect() { try writer.append(text) }
            try progress(stream.bytesRead)
        }
        map.submit(job)
        while let text = try map.collect() { try writer.append(text) }
        try progress(stream.bytesRead)
        try writer.finish()
        for file in origin.files where try DataFile(path: file.path) != file {
            throw DataError.changed(file: file.path)
        }
        var statistics = stream.statistics
        statistics.tokens = writer.count
        let manifest = ShardManifest(origin: origin, shards: writer.shards, statistics: statistics)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try ShardWriter.write(Array(encoder.encode(manifest)), to: "\(folder)/\(TokenShards.manifestName)")
    }

    private func createFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw DataError.unwritable(path: path, reason: error.localizedDescription)
        }
    }

    private func remove(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw DataError.unwritable(path: path, reason: error.localizedDescription)
        }
    }

    /// Calls `body` while no other process holds the lock file at `path`.
    private func locked<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw DataError.unwritable(path: path, reason: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else {
                throw DataError.unwritable(path: path, reason: String(cString: strerror(errno)))
            }
        }
        return try body()
    }
}
