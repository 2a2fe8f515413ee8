import Checkpoints
import Foundation
import Models
import Support
import Tensors

/// A session on disk, which continues bit for bit as it would have: docs/state.md says what lies where.
public struct StateFile {
    /// The sequence as it was saved.
    public let session: GenerationSession
    /// Where the sampling's random numbers stood; nil when they were not saved.
    public let generatorState: UInt64?
    /// What the program that saved it added, such as a conversation's messages.
    public let notes: Data

    static let magic = Array("MoultSt\n".utf8)
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
        let bytes = try contents(of: session, generatorState: generatorState, notes: notes)
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

    private static func contents(
        of session: GenerationSession, generatorState: UInt64?, notes: Data
    ) throws -> [UInt8] {
        guard let logits = try session.logits() else { throw GenerationError.emptyPrompt }
        let snapshot = try session.state.snapshot()
        let recent = session.recent.last(RecentTokens.capacity)
        var writer = StateWriter()
        writer.reserve(session.state.byteCount + logits.byteCount + notes.count + 1 << 16)
        writer.bytes(magic)
        writer.number(version)
        writer.number(UInt32(snapshot.tensors.count))
        let length = writer.placeholder()
        writer.number(try session.model.fingerprint())
        writer.number(UInt64(snapshot.position))
        writer.number(session.digest.value)
        writer.number(generatorState ?? 0)
        writer.number(UInt32(generatorState == nil ? 0 : 1))
        writer.number(UInt32(recent.count))
        writer.number(UInt32(logits.count))
        writer.number(UInt32(clamping: notes.count))
        for token in recent { writer.number(UInt32(bitPattern: token)) }
        writer.pad()
        writer.bytes(notes)
        writer.pad()
        try writer.floats(logits)
        writer.pad()
        for (name, value) in snapshot.tensors {
            writer.number(UInt32(name.utf8.count))
            writer.number(UInt32(value.rank))
            for extent in value.shape { writer.number(UInt64(extent)) }
            writer.bytes(name.utf8)
            writer.pad()
            try writer.floats(value)
            writer.pad()
        }
        return writer.finish(lengthAt: length)
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
        let bytes = file.bytes
        guard bytes.count >= Self.headerBytes, bytes.starts(with: Self.magic) else {
            throw GenerationError.notAState(path: path, found: "another file")
        }
        var reader = StateReader(bytes: bytes, position: Self.magic.count, path: path)
        let version: UInt32 = try reader.number("version")
        guard version == Self.version else {
            throw GenerationError.stateVersion(path: path, supported: Self.version, found: version)
        }
        let tensorCount: UInt32 = try reader.number("tensor count")
        let length: UInt64 = try reader.number("length")
        guard length == bytes.count else {
            throw GenerationError.damagedState(
                path: path, reason: "it has \(bytes.count) bytes of the \(length) that were written")
        }
        let end = bytes.count - 8
        let checksum = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self))
        guard XXHash64.hash(UnsafeRawBufferPointer(rebasing: bytes[..<end])) == checksum else {
            throw GenerationError.damagedState(path: path, reason: "its checksum does not match its contents")
        }
        reader.end = end
        let (expected, found) = (try model.fingerprint(), try reader.number("fingerprint") as UInt64)
        guard expected == found else {
            throw GenerationError.otherModel(
                path: path, expected: String(expected, radix: 16), found: String(found, radix: 16))
        }
        do {
            (session, generatorState, notes) = try Self.parts(&reader, tensorCount: Int(tensorCount), model)
        } catch let error as ModelError {
            throw GenerationError.damagedState(path: path, reason: error.description)
        }
    }

    private static func parts(
        _ reader: inout StateReader, tensorCount: Int, _ model: DecoderModel
    ) throws -> (GenerationSession, UInt64?, Data) {
        let position = try reader.integer("position", limit: StateSnapshot.maximumPosition)
        let digest = TokenDigest(try reader.number("digest"))
        let generator: UInt64 = try reader.number("generator")
        let hasGenerator: UInt32 = try reader.number("flags")
        let recentCount = Int(try reader.number("token count") as UInt32)
        let logitCount = Int(try reader.number("logit count") as UInt32)
        let notesCount = Int(try reader.number("notes' length") as UInt32)
        let vocabulary = model.configuration.decoder.vocabularySize
        guard logitCount == vocabulary, recentCount <= RecentTokens.capacity, position > 0 else {
            throw reader.damage("\(logitCount) logits, \(recentCount) tokens and position \(position)")
        }
        let recent = RecentTokens(try reader.tokens(recentCount))
        try reader.pad()
        let notes = Data(try reader.take(notesCount, "notes"))
        try reader.pad()
        let logits = try reader.floats([logitCount], "logits")
        try reader.pad()
        var snapshot = StateSnapshot(position: position)
        for _ in 0..<tensorCount {
            let nameCount = Int(try reader.number("name's length") as UInt32)
            let rank = Int(try reader.number("rank") as UInt32)
            guard rank <= 8 else { throw reader.damage("a tensor of rank \(rank)") }
            let shape = try (0..<rank).map { _ in try reader.integer("extent", limit: reader.end) }
            let name = String(decoding: try reader.take(nameCount, "name"), as: UTF8.self)
            try reader.pad()
            try snapshot.append(name, try reader.floats(shape, name))
            try reader.pad()
        }
        guard reader.position == reader.end else {
            throw reader.damage("\(reader.end - reader.position) bytes behind the last tensor")
        }
        let session = GenerationSession(
            model, state: try model.makeState(from: snapshot), logits: logits, recent: recent, digest: digest)
        return (session, hasGenerator == 1 ? generator : nil, notes)
    }
}
