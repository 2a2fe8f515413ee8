import Checkpoints
import Foundation
import Support
import Tokenizers

/// A folder that keeps the tokens of sources from run to run.
package struct ShardCache {
    let folder: String
    let options: DataOptions
    let tokenizer: DocumentTokenizer

    /// The tokens of `files`: those that are kept, when the files, the tokenizer and the options are the same and the
    /// shards sound, and otherwise made now. Another process that asks for the same waits meanwhile.
    /// - Parameter progress: called with bytes of the files read; throwing stops, and leaves nothing behind.
    func shards(of files: [DataFile], progress: (Int) throws -> Void) throws -> TokenShards {
        let origin = ShardManifest.Origin(
            files: files, tokenizer: tokenizer.hash, bytesPerToken: tokenizer.bytesPerToken, textKey: options.textKey,
            separator: options.separator, onError: options.onError, maximumPieceBytes: options.maximumPieceBytes,
            maximumLineBytes: options.maximumLineBytes, shardTokens: options.shardTokens)
        do { _ = try MadeFolders(folder) } catch { throw DataError.unwritable(path: folder, reason: error.description) }
        // Named after the files alone, so that what is out of date is replaced and does not pile up.
        let paths = files.map(\.path).joined(separator: "\n")
        let place = "\(folder)/\(XXHash64.text(Data((paths + tokenizer.hash).utf8)))"
        let lock = try lock(place) { try progress(0) }
        defer { withExtendedLifetime(lock) {} }
        if let kept = TokenShards(folder: place, origin: origin) {
            try progress(files.reduce(0) { $0 + $1.size })
            return kept
        }
        do {
            _ = try Self.check(place)
            // As an earlier version called it, of whose processes none is at work while this one holds the lock.
            let left = "\(place).partial"
            if (try? Self.check(left)) == true { try StagedFolder.remove(left) }
            let made = try StagedFolder(path: place, isFree: false)
            try make(origin, in: made.temporaryPath, progress: progress)
            if try Self.check(place) { try StagedFolder.remove(place) }
            try made.publish()
        } catch let fault as RegularFile.Fault {
            throw DataError.unwritable(path: place, reason: fault.description)
        } catch let foreign as FolderContents.Foreign {
            throw DataError.unwritable(path: place, reason: foreign.description)
        }
        guard let made = TokenShards(folder: place, origin: origin) else {
            throw DataError.unwritable(path: place, reason: "it does not read as it was written; check the disk")
        }
        return made
    }

    /// The lock on the tokens at `place`; `wait` is called while another process holds it.
    private func lock(_ place: String, _ wait: () throws -> Void) throws -> FileLock {
        do { return try FileLock.waiting(path: "\(place).lock") { _ in try wait() } } catch let fault
            as RegularFile.Fault
        {
            throw DataError.unwritable(path: "\(place).lock", reason: fault.description)
        }
    }

    /// Whether tokens are kept at `place`, sound or not.
    /// - Throws: when something else is there.
    private static func check(_ place: String) throws(FolderContents.Foreign) -> Bool {
        try FolderContents.check(place) { $0 == TokenShards.manifestName || $0.hasSuffix(ShardWriter.ending) }
    }

    /// Removes a folder of tokens, but for what no cache has written.
    package static func remove(_ folder: String) {
        PartialName.removeAbandoned(in: folder)
        for name in FolderContents.names(folder) {
            let (path, digits) = ("\(folder)/\(name)", name.hasSuffix(".lock") ? name.dropLast(5) : name[...])
            guard digits.count == 16, digits.allSatisfy(\.isHexDigit) else { continue }
            if digits.count < name.count {
                if let lock = try? FileLock(path: path) { lock.remove() }
            } else if (try? check(path)) == true {
                try? StagedFolder.remove(path)
            }
        }
        rmdir(folder)
    }

    /// Tokenises the files into shards and a manifest in `folder`.
    private func make(_ origin: ShardManifest.Origin, in folder: String, progress: (Int) throws -> Void) throws {
        var stream = TokenStream(origin.files, options: options, tokenizer: tokenizer)
        defer { stream.stop() }
        var writer = ShardWriter(
            folder: folder, bytesPerToken: origin.bytesPerToken, shardTokens: origin.shardTokens)
        while let text = try stream.next() {
            try writer.append(text)
            try progress(stream.bytesRead)
        }
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
}
