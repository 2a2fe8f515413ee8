import Foundation
import Models
import Support

/// A folder of states after prompts and beginnings of prompts, so that a prompt is read only where it is new.
///
/// An entry is a state file, named after the model's fingerprint, the tokens' hash and their number, so that nothing needs
/// opening to find the longest one that a prompt begins with. States are stored at a prompt's end, for what continues it,
/// and at the last multiple of ``GenerationSession/segment`` tokens before, for prompts that begin alike and end
/// otherwise. Several processes may use one folder: entries appear whole, by renaming. Nothing in the folder is removed or
/// replaced but regular files that have such a name and begin as a state.
public struct PromptCache {
    /// The folder that holds the entries; it is made when it is not there.
    public let folder: String
    /// Bytes that the entries may take; the least recently used go first.
    public let limit: Int
    private let warn: (String) -> Void

    private static let suffix = ".moult-state"

    /// - Parameter warn: called with a line when an entry is damaged or cannot be stored.
    public init(folder: String, limit: Int, warn: @escaping (String) -> Void) throws {
        do {
            _ = try MadeFolders(folder)
        } catch {
            throw GenerationError.option(name: "promptCache", expected: "a folder", found: folder)
        }
        (self.folder, self.limit, self.warn) = (folder, limit, warn)
    }

    /// A session that has read `tokens`, of which only those behind the longest stored beginning are read now.
    /// - Parameter progress: called with tokens read and in all; throwing stops.
    /// - Returns: the session, and how many tokens it took from the cache.
    public func session(
        reading tokens: [Int32], model: DecoderModel, progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> (session: GenerationSession, cached: Int) {
        guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
        let found = try longest(tokens, model)
        let session = try found ?? GenerationSession(model)
        let cached = session.state.position
        try progress(cached, tokens.count)
        let boundary = (tokens.count - 1) / GenerationSession.segment * GenerationSession.segment
        for end in [boundary, tokens.count] where end > session.state.position {
            let start = session.state.position
            try session.read(Array(tokens[start..<end])) { read, _ in try progress(start + read, tokens.count) }
            try store(session)
        }
        return (session, cached)
    }

    /// The session after the longest stored beginning of `tokens`.
    private func longest(_ tokens: [Int32], _ model: DecoderModel) throws -> GenerationSession? {
        let prefix = try Self.prefix(model)
        let names = Set(entries().map(\.name).filter { $0.hasPrefix(prefix) })
        guard !names.isEmpty else { return nil }
        var (digest, stored) = (TokenDigest(), [String]())
        for (index, token) in tokens.enumerated() {
            digest.append([token])
            let name = Self.name(prefix, digest, index + 1)
            if names.contains(name) { stored.append(name) }
        }
        for name in stored.reversed() {
            let path = "\(folder)/\(name)"
            do {
                let session = try StateFile(path: path, model: model).session
                guard Self.name(prefix, session.digest, session.state.position) == name else {
                    throw GenerationError.damagedState(path: path, reason: "it is not what its name says")
                }
                // Modified now: used last.
                utimensat(AT_FDCWD, path, nil, AT_SYMLINK_NOFOLLOW)
                return session
            } catch GenerationError.unreadableState {
                continue  // Another process has removed it.
            } catch let error as GenerationError {
                warn(remove(name) ? "\(error); the entry is removed" : "\(error); it is left as it is")
            }
        }
        return nil
    }

    private func store(_ session: GenerationSession) throws {
        let name = Self.name(try Self.prefix(session.model), session.digest, session.state.position)
        guard session.state.byteCount <= limit else {
            return warn("\(folder): a state of \(session.state.byteCount) bytes is above the cache's size")
        }
        do {
            try StateFile.write(session, isDurable: false, to: "\(folder)/\(name)")
        } catch {
            return warn("\(error); the prompt is not cached")
        }
        removeOldest(keeping: name)
    }

    /// Removes entries until the rest fits.
    private func removeOldest(keeping newest: String) {
        var entries = entries().sorted { ($0.used, $0.name) < ($1.used, $1.name) }
        var total = entries.reduce(0) { $0 + $1.size }
        entries.removeAll { $0.name == newest }
        for entry in entries where total > limit && remove(entry.name) { total -= entry.size }
    }

    /// Removes the entry `name`, if it begins as one.
    /// - Returns: whether it did.
    private func remove(_ name: String) -> Bool {
        let path = "\(folder)/\(name)"
        guard (try? Occupant(path, beginning: StateFile.magic)) == .own else { return false }
        return unlink(path) == 0
    }

    /// The regular files with names of entries.
    private func entries() -> [(name: String, size: Int, used: Double)] {
        FolderContents.names(folder).compactMap { name in
            var status = stat()
            guard Self.isName(name), lstat("\(folder)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                return nil
            }
            let used = Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) * 1e-9
            return (name, Int(status.st_size), used)
        }
    }

    /// Whether `name` is as ``name(_:_:_:)`` makes them.
    private static func isName(_ name: String) -> Bool {
        let parts = name.dropLast(suffix.count).split(separator: "-", omittingEmptySubsequences: false)
        let digits = Set("0123456789abcdef")
        return name.hasSuffix(suffix) && parts.count == 3 && parts[..<2].allSatisfy { $0.count == 16 }
            && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(digits.contains) } && Int(parts[2]) != nil
    }

    private static func prefix(_ model: DecoderModel) throws -> String { "\(try model.fingerprint().hexadecimal)-" }

    private static func name(_ prefix: String, _ digest: TokenDigest, _ count: Int) -> String {
        "\(prefix)\(digest.value.hexadecimal)-\(count)\(suffix)"
    }
}
