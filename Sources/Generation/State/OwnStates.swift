import Checkpoints
import Foundation
import Models
import Support

/// Where a program may save states: where nothing is, in the place of states that it has loaded or saved itself, and, when
/// it is told to, of other states. Nothing else is ever replaced, and a link is not followed.
public struct OwnStates: Sendable {
    private var files: Set<FileIdentity> = []

    /// No place yet is the program's own.
    public init() {}

    /// Takes the file at `path` for one of the program's own.
    public mutating func add(_ path: String) {
        if let file = FileIdentity(path) { files.insert(file) }
    }

    /// Checks that a state can be saved at `path`, before work is done that would be lost otherwise.
    /// - Parameter force: whether it may take the place of any state.
    /// - Throws: ``GenerationError/occupied(path:expected:found:)``, and `CheckpointError.unwritable`.
    public func check(_ path: String, force: Bool) throws {
        try checkPlace(path, force: force)
        try StateFile.staging(path) {
            try StagedFile(path: path, replacing: .file(beginning: StateFile.magic)).discard()
        }
    }

    /// Saves `session` at `path`, which is the program's own from then on.
    /// - Parameters:
    ///   - generatorState: where a sampler's random numbers stand, for a text that is to go on as it would have.
    ///   - notes: what the program wants to find again.
    ///   - force: whether any state at `path` may be replaced.
    /// - Throws: as ``check(_:force:)``; what was at `path` is as it was then.
    public mutating func save(
        _ session: GenerationSession, generatorState: UInt64? = nil, notes: Data = Data(), force: Bool = false,
        to path: String
    ) throws {
        try checkPlace(path, force: force)
        try StateFile.write(session, generatorState: generatorState, notes: notes, to: path)
        add(path)
    }

    private func checkPlace(_ path: String, force: Bool) throws {
        let found: String
        do {
            switch try Occupant(path, beginning: StateFile.magic) {
            case .nothing: return
            case .own where force || FileIdentity(path).map(files.contains) == true: return
            case .own:
                throw GenerationError.occupied(
                    path: path, expected: "a new file, or leave to replace a state", found: "a state")
            case .foreign(let what): found = what
            }
        } catch let fault as RegularFile.Fault {
            throw CheckpointError.unwritable(path: path, reason: fault.description)
        }
        throw GenerationError.occupied(path: path, expected: "a new file, or a state to replace", found: found)
    }
}
