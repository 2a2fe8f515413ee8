import Checkpoints
import Foundation
import Models
import Support

/// A session on disk, which continues bit for bit as it would have: docs/state.md says what lies where.
public struct StateFile {
    /// The sequence as it was saved.
    public let session: GenerationSession
    /// Where the sampling's random numbers stood; nil when they were not saved.
    public let generatorState: UInt64?
    /// What the program that saved it added, such as a conversation's messages.
    public let notes: Data

    package static let magic = Array("MoultSt\n".utf8)
    static let version: UInt32 = 1
    static let headerBytes = 72

    // MARK: Writing

    /// Saves `session`, beside `path` first and then where nothing is or another state; ``OwnStates`` says which.
    /// - Parameter isDurable: Waits for the disk, so that a loss of power leaves the old file or the new one.
    /// - Throws: ``GenerationError/emptyPrompt`` when nothing was read yet, and `CheckpointError.unwritable`.
    public static func write(
        _ session: GenerationSession, generatorState: UInt64? = nil, notes: Data = Data(), isDurable: Bool = true,
        to path: String
    ) throws {
        let bytes = try StateContents(session, generatorState: generatorState, notes: notes)
            .encoded(for: session.model.fingerprint())
        try staging(path) {
            try StagedFile.write(bytes, to: path, replacing: .file(beginning: magic), isDurable: isDurable)
        }
    }

    /// Runs `body`, which writes `path`, and says so in its errors.
    static func staging(_ path: String, _ body: () throws -> Void) throws {
        do { try body() } catch let fault as RegularFile.Fault {
            throw CheckpointError.unwritable(path: path, reason: fault.description)
        }
    }

    // MARK: Reading

    /// Restores what was saved at `path` for `model`.
    /// - Throws: ``GenerationError`` when the file is none, damaged, of another version or of another model.
    public init(path: String, model: DecoderModel) throws {
        // Read, not mapped: a state that is replaced or cut short meanwhile must not end the program.
        let file: MappedFile
        do { file = try MappedFile(reading: path) } catch {
            guard error.code == nil else {
                throw GenerationError.unreadableState(path: path, reason: error.description)
            }
            throw GenerationError.notAState(path: path, found: RegularFile.kind(at: path))
        }
        let contents = try StateContents(file.bytes, path: path, model: model)
        do {
            session = GenerationSession(
                model, state: try model.makeState(from: contents.snapshot), logits: contents.logits,
                recent: RecentTokens(contents.recent), digest: contents.digest)
        } catch let error as ModelError {
            throw GenerationError.damagedState(path: path, reason: error.description)
        }
        (generatorState, notes) = (contents.generatorState, contents.notes)
    }
}
