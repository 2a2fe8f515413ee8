import Dispatch
import Foundation
import Models
import Support
import Synchronization

/// A folder in which the states of a served model outlive the server: docs/serving.md says what lies where.
///
/// States are written on a thread of the folder's own, one file each, beside their place, on the disk before they have their name. So
/// whenever the process ends, what was written is there for the next one. One process at a time uses a folder.
public final class StateFolder: Sendable {
    /// The folder.
    public let path: String
    let model: DecoderModel
    private let fingerprint: UInt64
    private let states: BoundedFolder<StateKey>
    /// Held as long as the folder is used.
    private let lock: Mutex<FileLock?>
    /// What states are signed with, and names of scopes are made with.
    package let secret: [UInt8]
    private let warn: @Sendable (String) -> Void

    private let writer = DispatchQueue(label: "moult states")
    /// Apart from what is written, which takes longer.
    private let reader = DispatchQueue(label: "moult states read")
    private let pending = Mutex(Pending())

    private struct Pending {
        /// What somebody waits for comes before the rest.
        var urgent: [Write] = []
        var others: [Write] = []
        /// Urgent ones that have not ended.
        var urgentCount = 0
        /// Bytes of the others.
        var byteCount = 0
    }

    private struct Write: Sendable {
        var state: (key: StateKey, value: StoredState, bytes: Int)?
        var done: @Sendable () -> Void = {}
        /// Called when the write no longer counts as one that somebody waits for.
        var settled: @Sendable () -> Void = {}
    }

    /// Bytes of states that nobody waits for that may wait to be written; further ones are kept in memory alone.
    private static let mostPending = 128 << 20

    /// Takes over the folder at `path`, which is made when it is not there.
    /// - Parameters:
    ///   - budget: bytes that the states may take; the least recently used are removed first.
    ///   - warn: called with a line when a state is damaged, or one cannot be written.
    /// - Throws: ``GenerationError/option(name:expected:found:)`` with the name `stateFolder` when another process uses the folder,
    ///   or it cannot be used.
    public init(
        path: String, budget: Int, model: DecoderModel, warn: @escaping @Sendable (String) -> Void
    ) throws {
        (self.path, self.model, self.warn) = (path, model, warn)
        let fingerprint = try model.fingerprint()
        self.fingerprint = fingerprint
        do {
            // What people have asked is nobody else's business.
            if try MadeFolders(path).isNew { chmod(path, 0o700) }
            lock = Mutex(try FileLock(path: "\(path)/lock"))
            secret = try Self.secret("\(path)/secret")
            var others = 0
            states = try BoundedFolder(path: "\(path)/states", budget: budget, beginning: StateFile.magic) {
                if $0.fingerprint != fingerprint { others += 1 }
                return $0.fingerprint == fingerprint
            }
            if others > 0 { warn("\(path): \(others) states of other models are left as they are") }
        } catch let held as FileLock.Held {
            throw GenerationError.option(
                name: "stateFolder", expected: "a folder that no other server uses",
                found: "\(path), which is used by \(held)")
        } catch let fault as RegularFile.Fault {
            throw GenerationError.option(
                name: "stateFolder", expected: "a folder for states", found: "\(path): \(fault.description)")
        }
    }

    /// The secret in the file at `path`, a new one where there is none.
    private static func secret(_ path: String) throws(RegularFile.Fault) -> [UInt8] {
        if access(path, F_OK) != 0, errno == ENOENT {
            let new = SealedState.newSecret()
            try StagedFile.write(new, to: path, mode: 0o600)
            return new
        }
        let found = try RegularFile.contents(path, limit: 4096)
        guard found.count == SealedState.secretBytes else {
            throw RegularFile.Fault(
                description: "secret: expected \(SealedState.secretBytes) bytes, found \(found.count)")
        }
        return Array(found)
    }

    /// Files of another kind in the folder.
    package func folder<Key: FileKey>(
        _ name: String, budget: Int, beginning: [UInt8]
    ) throws -> BoundedFolder<Key> {
        do { return try BoundedFolder(path: "\(path)/\(name)", budget: budget, beginning: beginning) } catch {
            throw GenerationError.option(
                name: "stateFolder", expected: "a folder for states", found: "\(path)/\(name): \(error.description)")
        }
    }

    /// What stands for `scope` in names of files: it does not say the scope to who lacks the secret.
    package func tag(_ scope: String) -> UInt64 {
        AuthenticationCode.of(Array("scope:\(scope)".utf8), key: secret).withUnsafeBytes {
            UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))
        }
    }

    /// Number of states, and their bytes.
    public var contents: (count: Int, byteCount: Int) { states.withIndex { ($0.count, $0.byteCount) } }

    // MARK: Looking

    func key(_ scope: UInt64, _ digest: TokenDigest, _ count: Int, isExact: Bool) -> StateKey {
        StateKey(fingerprint: fingerprint, scope: scope, digest: digest, count: count, isExact: isExact)
    }

    func withIndex<Result>(_ body: (BoundedFolder<StateKey>.Index) -> Result) -> Result {
        states.withIndex(body)
    }

    // MARK: Writing

    /// Whether so much waits that somebody waits for that no more should begin.
    func isBehind(_ count: Int) -> Bool { pending.withLock { $0.urgentCount > count } }

    /// Whether all that somebody waits for is written.
    var isIdle: Bool { pending.withLock { $0.urgentCount == 0 } }

    /// Whether a state would be written: it is not there, or not as exact.
    func needs(_ key: StateKey) -> Bool {
        states.withIndex { index in
            var exact = key
            exact.isExact = true
            return !index.contains(key) && !index.contains(exact)
        }
    }

    /// Writes a state behind, as soon as nothing else is to do; not when too much waits.
    func write(_ state: StoredState, for key: StateKey) {
        let bytes = state.snapshot.tensors.reduce(0) { $0 + $1.value.byteCount }
        let isTaken = pending.withLock { pending in
            guard pending.byteCount + bytes <= Self.mostPending else { return false }
            pending.byteCount += bytes
            pending.others.append(Write(state: (key, state, bytes)))
            return true
        }
        if isTaken { writer.async { [self] in writeNext() } }
    }

    /// Writes a state, if there is one, before all that nobody waits for.
    /// - Parameters:
    ///   - done: called on the folder's thread when it is on the disk, or cannot be written.
    ///   - settled: called after that, when the folder may be idle.
    func writeNow(
        _ state: (StoredState, key: StateKey)?, done: @escaping @Sendable () -> Void,
        settled: @escaping @Sendable () -> Void = {}
    ) {
        pending.withLock { pending in
            pending.urgentCount += 1
            pending.urgent.append(Write(state: state.map { ($0.key, $0.0, 0) }, done: done, settled: settled))
        }
        writer.async { [self] in writeNext() }
    }

    /// Waits until everything is written.
    package func flush() { writer.sync {} }

    /// Waits until everything is written, and leaves the folder to others.
    package func close() {
        flush()
        lock.withLock { $0 = nil }
    }

    private func writeNext() {
        let (write, isUrgent) = pending.withLock { pending in
            if !pending.urgent.isEmpty { return (pending.urgent.removeFirst(), true) }
            let write = pending.others.isEmpty ? Write() : pending.others.removeFirst()
            pending.byteCount -= write.state?.bytes ?? 0
            return (write, false)
        }
        if let (key, state, _) = write.state {
            do {
                if needs(key) {
                    try states.write(state.encoded(for: fingerprint), for: key)
                    if key.isExact {
                        var near = key
                        near.isExact = false
                        states.remove(near)
                    }
                } else {
                    states.touch(key)
                }
            } catch {
                warn("\(path): a state cannot be written: \(error)")
            }
        }
        write.done()
        if isUrgent { pending.withLock { $0.urgentCount -= 1 } }
        write.settled()
    }

    // MARK: Reading

    /// A state that is being read from the disk.
    final class Load: Sendable {
        private let outcome = Mutex<StoredState??>(nil)
        /// The state; nil inside when there is none that can be used, outside as long as it is being read.
        var result: StoredState?? { outcome.withLock { $0 } }
        fileprivate func end(_ state: StoredState?) { outcome.withLock { $0 = .some(state) } }
    }

    /// Reads a state behind.
    /// - Parameter done: called on a thread of the folder's when it is read.
    func load(_ key: StateKey, done: @escaping @Sendable () -> Void) -> Load {
        let load = Load()
        reader.async { [self] in
            load.end(read(key))
            done()
        }
        return load
    }

    /// The state of `key`; nil when there is none that can be used.
    func state(_ key: StateKey) async -> StoredState? {
        await withCheckedContinuation { continuation in
            reader.async { [self] in continuation.resume(returning: read(key)) }
        }
    }

    private func read(_ key: StateKey) -> StoredState? {
        let path = states.place(key)
        do {
            guard let data = try states.read(key) else { return nil }
            let state = try StoredState(data, path: path, model: model)
            var digest = TokenDigest()
            digest.append(state.tokens)
            guard digest == key.digest, state.tokens.count == key.count, state.isExact == key.isExact else {
                throw GenerationError.damagedState(path: path, reason: "it is not what its name says")
            }
            return state
        } catch {
            warn(states.remove(key) ? "\(error); it is removed" : "\(error); it is left as it is")
            return nil
        }
    }

    /// Removes a state.
    func remove(_ key: StateKey) { writer.async { [states] in states.remove(key) } }

    // MARK: For others

    /// The file of a state.
    package func file(of state: StoredState) throws -> [UInt8] { try state.encoded(for: fingerprint) }
}
