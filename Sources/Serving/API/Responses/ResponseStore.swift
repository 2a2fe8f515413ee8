import Foundation
import Generation
import Support
import Synchronization

/// The responses that may be gone on from: in memory, and where there is a folder for states, there too. Those that were used
/// least recently are forgotten first.
final class ResponseStore: Sendable {
    private let memory: Mutex<RecentValues<ResponseKey, ResponseRecord>>
    private let disk: (states: StateFolder, responses: BoundedFolder<ResponseKey>)?
    private let aside = BlockingWork()
    private let warn: @Sendable (String) -> Void
    /// What scopes are called in keys.
    private let tags = Mutex<[String: UInt64]>([:])

    /// - Parameters:
    ///   - bytes: that the responses may take in memory.
    ///   - diskBytes: that they may take in the folder.
    /// - Throws: `GenerationError.option` for a folder that cannot be used.
    init(
        bytes: Int, states: StateFolder?, diskBytes: Int, warn: @escaping @Sendable (String) -> Void
    ) throws {
        memory = Mutex(RecentValues(budget: bytes))
        disk = try states.map { states in
            (states, try states.folder("responses", budget: diskBytes, beginning: ResponseRecord.beginning))
        }
        self.warn = warn
    }

    /// The response `id` of `scope`.
    func find(_ id: String, scope: String) async throws -> ResponseRecord? {
        guard let key = ResponseKey(scope: tag(scope), id: id) else { return nil }
        if let record = memory.withLock({ $0.use(key) }) {
            if let disk { try await aside { disk.responses.touch(key) } }
            return record
        }
        guard let disk else { return nil }
        let warn = warn
        let found = try await aside { () -> ResponseRecord? in
            guard let data = try disk.responses.read(key) else { return nil }
            if let record = ResponseRecord(encoded: data) { return record }
            let isGone = disk.responses.remove(key)
            warn(
                "\(disk.responses.place(key)): the response is damaged; it is \(isGone ? "removed" : "left as it is")")
            return nil
        }
        if let found { hold(found, key) }
        return found
    }

    /// Keeps a response, on the disk when this returns, where there is a folder and room in it.
    func keep(_ record: ResponseRecord, id: String, scope: String) async throws {
        guard let key = ResponseKey(scope: tag(scope), id: id) else { return }
        hold(record, key)
        guard let disk else { return }
        let warn = warn
        try await aside {
            do { try disk.responses.write(record.encoded, for: key) } catch {
                warn("\(disk.responses.place(key)): a response cannot be written: \(error)")
            }
        }
    }

    /// Forgets a response.
    func remove(_ id: String, scope: String) async throws {
        guard let key = ResponseKey(scope: tag(scope), id: id) else { return }
        memory.withLock { _ = $0.remove(key) }
        if let disk { try await aside { _ = disk.responses.remove(key) } }
    }

    private func hold(_ record: ResponseRecord, _ key: ResponseKey) {
        memory.withLock { _ = $0.insert(record, for: key, bytes: record.byteCount) }
    }

    private func tag(_ scope: String) -> UInt64 {
        tags.withLock { tags in
            // In memory alone a number is as good as another.
            let tag = tags[scope] ?? disk?.states.tag(scope) ?? UInt64(tags.count)
            tags[scope] = tag
            return tag
        }
    }
}
