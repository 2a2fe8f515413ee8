import Checkpoints
import Foundation
import Models
import Support
import Tensors

/// What a state file holds, apart from any model's memory.
struct StateContents: Sendable {
    var snapshot: StateSnapshot
    /// Of the token that follows, one per token of the vocabulary.
    var logits: Tensor
    /// The last tokens, at most ``RecentTokens/capacity``.
    var recent: [Int32]
    /// Of all tokens.
    var digest: TokenDigest
    var generatorState: UInt64?
    var notes = Data()

    /// - Throws: ``GenerationError/emptyPrompt`` when nothing was read yet.
    init(_ session: GenerationSession, generatorState: UInt64?, notes: Data) throws {
        guard let logits = try session.logits() else { throw GenerationError.emptyPrompt }
        (snapshot, self.logits, digest) = (try session.state.snapshot(), logits, session.digest)
        recent = Array(session.recent.last(RecentTokens.capacity))
        (self.generatorState, self.notes) = (generatorState, notes)
    }

    /// A state after all of `tokens`.
    init(snapshot: StateSnapshot, logits: [Float], tokens: [Int32], notes: Data) throws {
        self.snapshot = snapshot
        self.logits = try Tensor(logits, shape: [logits.count])
        recent = tokens.suffix(RecentTokens.capacity)
        digest = TokenDigest()
        digest.append(tokens)
        self.notes = notes
    }

    // MARK: Writing

    /// The file of a state of the model with `fingerprint`.
    func encoded(for fingerprint: UInt64) throws -> [UInt8] {
        var writer = StateWriter()
        let size = snapshot.tensors.reduce(logits.byteCount + notes.count) { $0 + $1.value.byteCount }
        writer.reserve(size + 1 << 16)
        writer.bytes(StateFile.magic)
        writer.number(StateFile.version)
        writer.number(UInt32(snapshot.tensors.count))
        let length = writer.placeholder()
        writer.number(fingerprint)
        writer.number(UInt64(snapshot.position))
        writer.number(digest.value)
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

    /// Reads the bytes of a state file for `model`; whether the tensors are those of its states is not checked yet.
    /// - Parameter path: where they are from, for errors.
    /// - Throws: ``GenerationError`` when they are none, damaged, of another version or of another model.
    init(_ bytes: UnsafeRawBufferPointer, path: String, model: DecoderModel) throws {
        guard bytes.count >= StateFile.headerBytes, bytes.starts(with: StateFile.magic) else {
            throw GenerationError.notAState(path: path, found: "another file")
        }
        var reader = StateReader(bytes: bytes, position: StateFile.magic.count, path: path)
        let version: UInt32 = try reader.number("version")
        guard version == StateFile.version else {
            throw GenerationError.stateVersion(path: path, supported: StateFile.version, found: version)
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
            try self.init(&reader, tensorCount: Int(tensorCount), model.configuration.decoder.vocabularySize)
        } catch let error as ModelError {
            throw GenerationError.damagedState(path: path, reason: error.description)
        }
    }

    private init(_ reader: inout StateReader, tensorCount: Int, _ vocabulary: Int) throws {
        let position = try reader.integer("position", limit: StateSnapshot.maximumPosition)
        digest = TokenDigest(try reader.number("digest"))
        let generator: UInt64 = try reader.number("generator")
        let hasGenerator: UInt32 = try reader.number("flags")
        generatorState = hasGenerator == 1 ? generator : nil
        let recentCount = Int(try reader.number("token count") as UInt32)
        let logitCount = Int(try reader.number("logit count") as UInt32)
        let notesCount = Int(try reader.number("notes' length") as UInt32)
        guard logitCount == vocabulary, recentCount <= RecentTokens.capacity, position > 0 else {
            throw reader.damage("\(logitCount) logits, \(recentCount) tokens and position \(position)")
        }
        recent = try reader.tokens(recentCount)
        try reader.pad()
        notes = Data(try reader.take(notesCount, "notes"))
        try reader.pad()
        logits = try reader.floats([logitCount], "logits")
        try reader.pad()
        snapshot = StateSnapshot(position: position)
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
    }
}
