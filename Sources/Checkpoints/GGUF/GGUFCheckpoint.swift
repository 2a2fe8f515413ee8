import Support
import Tensors

/// A GGUF file (version 2 or 3, little-endian).
///
/// Tensors of architectures that can be run have the decoder's names, and order of rows: the permutation that llama.cpp's
/// converter applies to the rows of q and k of some of them is undone. RoPE factors (`rope_freqs.weight`) are
/// configuration and not listed. Others are as the file has them.
public struct GGUFCheckpoint: Checkpoint {
    /// The file.
    public let path: String
    /// The metadata of the file's header.
    public let metadata: GGUFMetadata
    private let table: TensorTable
    /// Llama 3's RoPE factors, one per pair of dimensions, when the file has them.
    private let ropeFactors: StoredTensor?

    /// Opens a file, or all parts of a model that is split into several (NAME-00001-of-0000N.gguf), and checks headers, names,
    /// and the place of every tensor.
    public init(path: String, families: [any Family.Type] = Families.all) throws {
        try self.init(MappedFile(path: path), families) { part, count in
            guard let name = GGUFPart.path(path, part: part, of: count) else {
                throw CheckpointError.malformed(
                    file: path, part: "its name", expected: "NAME\(GGUFPart.ending(part, of: count)), as parts have it",
                    found: FilePath(path).name)
            }
            return try MappedFile(path: name)
        }
    }

    /// Reads a file's contents from memory.
    package init(contents: [UInt8], path: String) throws {
        try self.init(MappedFile(contents: contents, path: path), Families.all) { _, count in
            throw CheckpointError.unsupported(
                file: path, what: "split file of", found: "\(count) parts", supported: "a whole file in memory")
        }
    }

    /// - Parameter part: opens one of so many parts, from 0 on.
    private init(
        _ file: MappedFile, _ families: [any Family.Type], part: (Int, Int) throws -> MappedFile
    ) throws {
        var header = try Header(file)
        let count = try header.metadata.integer("split.count") ?? 1
        guard (0...99_999).contains(count) else {
            throw CheckpointError.configuration(
                file: file.path, key: "split.count", expected: "0 to 99999", found: "\(count)")
        }
        if try count > 1 && header.metadata.integer("split.no") ?? 0 != 0 { header = try Header(part(0, count)) }
        path = header.file.path
        metadata = header.metadata
        // Other architectures mean other things by some of the names.
        let architecture = try metadata.string("general.architecture") ?? "llama"
        let experts = try GGUFKeys(metadata: metadata, architecture: architecture).expertCount()
        let family = Families.family(ofGGUF: architecture, hasExperts: experts > 0, among: families)?.gguf
        let heads = try Self.interleavedHeads(metadata, family, architecture)
        var table = TensorTable(), factors: StoredTensor?
        func add(_ tensors: [StoredTensor]) throws {
            for tensor in tensors {
                if tensor.description.name == GGUFNames.ropeFactors, factors == nil {
                    factors = tensor
                } else {
                    try table.append(tensor)
                }
            }
        }
        try add(Self.place(header, isKnown: family != nil, heads: heads))
        for number in 1..<max(count, 1) {
            try add(Self.place(Header(part(number, count)), isKnown: family != nil, heads: heads))
        }
        (self.table, ropeFactors) = (table, factors)
    }

    /// What stands before the tensors of a file.
    private struct Header {
        let file: MappedFile
        let metadata: GGUFMetadata
        let infos: [GGUFTensorInfo]
        /// Bytes.
        let size: Int

        init(_ file: MappedFile) throws {
            self.file = file
            (metadata, infos, size) = try withExtendedLifetime(file) {
                var cursor = GGUFCursor(file)
                try GGUFCheckpoint.checkVersion(&cursor)
                // The least that a tensor's description and a key with its value take.
                let tensorCount = try cursor.count(ofSize: 24, "the number of tensors")
                let keyCount = try cursor.count(ofSize: 13, "the number of metadata keys")
                let metadata = try GGUFMetadata(&cursor, count: keyCount, file: file)
                var infos: [GGUFTensorInfo] = []
                for index in 0..<tensorCount { infos.append(try GGUFTensorInfo(&cursor, index: index)) }
                return (metadata, infos, cursor.position)
            }
        }
    }

    private static func checkVersion(_ cursor: inout GGUFCursor) throws {
        let magic = try cursor.integer(UInt32.self, "the magic number")
        guard magic == 0x4655_4747 else {
            throw CheckpointError.malformed(
                file: cursor.file, part: "the first four bytes", expected: "GGUF",
                found: "0x" + String(magic.byteSwapped, radix: 16))
        }
        let version = try cursor.integer(UInt32.self, "the version")
        guard version == 2 || version == 3 else {
            let isSwapped = (1...3).contains(version.byteSwapped)
            throw CheckpointError.unsupported(
                file: cursor.file, what: "GGUF version", found: isSwapped ? "of big-endian byte order" : "\(version)",
                supported: "2 and 3, little-endian")
        }
    }

    /// Checks where each tensor lies: aligned, inside the file, and apart from all others.
    /// - Parameters:
    ///   - isKnown: whether names mean what they mean in the architectures that are known.
    ///   - heads: the number of heads of a tensor whose rows are interleaved, by its name.
    private static func place(_ header: Header, isKnown: Bool, heads: (String) -> Int?) throws -> [StoredTensor] {
        let (file, infos, metadata) = (header.file, header.infos, header.metadata)
        let key = "general.alignment"
        let alignment = try metadata.integer(key) ?? 32
        guard alignment > 0, alignment <= 1 << 30, alignment & (alignment - 1) == 0 else {
            throw CheckpointError.configuration(
                file: file.path, key: key, expected: "a power of two", found: "\(alignment)")
        }
        let dataStart = (header.size + alignment - 1) & ~(alignment - 1)
        var tensors: [StoredTensor] = []
        for info in infos {
            func wrong(_ expected: String, _ found: String) -> CheckpointError {
                .tensor(file: file.path, name: info.name, expected: expected, found: found)
            }
            guard let byteCount = info.format.byteCount(shape: info.shape) else {
                throw wrong(
                    "rows of whole blocks and a size that can be counted", "\(info.shape) of \(info.format.rawValue)")
            }
            guard info.offset % UInt64(alignment) == 0 else {
                throw wrong("an offset that is a multiple of \(alignment)", "\(info.offset)")
            }
            let available = file.bytes.count - dataStart
            guard available >= 0, info.offset <= UInt64(available), byteCount <= available - Int(info.offset) else {
                throw wrong(
                    "\(byteCount) bytes within the file's \(max(0, available)) of data", "offset \(info.offset)")
            }
            let description = TensorDescription(
                name: isKnown ? GGUFNames.huggingFace(info.name) : info.name, shape: info.shape, format: info.format,
                byteCount: byteCount,
                file: file.path)
            var tensor = StoredTensor(description: description, file: file, offset: dataStart + Int(info.offset))
            if let count = heads(info.name), let rows = info.shape.first {
                let isPlain = info.format.blockElements == 1
                guard info.shape.count == 2 || info.shape.count == 1 && isPlain, rows % (2 * count) == 0 else {
                    throw wrong(
                        "a matrix or plain vector whose rows \(count) heads divide into halves",
                        "\(info.shape) of \(info.format.rawValue)")
                }
                tensor.interleavedHeads = count
            }
            tensors.append(tensor)
        }
        let ordered = tensors.filter { $0.description.byteCount > 0 }.sorted { $0.offset < $1.offset }
        for (first, second) in zip(ordered, ordered.dropFirst())
        where first.offset + first.description.byteCount > second.offset {
            throw CheckpointError.tensor(
                file: file.path, name: second.description.name, expected: "bytes of its own",
                found: "an overlap with \(first.description.name)")
        }
        return tensors
    }

    /// The number of heads of a tensor whose rows are interleaved, by the tensor's name in the file.
    private static func interleavedHeads(
        _ metadata: GGUFMetadata, _ family: GGUFFamily?, _ architecture: String
    ) throws -> (String) -> Int? {
        guard family?.interleavesHeads ?? false else { return { _ in nil } }
        func heads(_ key: String) throws -> Int? {
            guard let count = try metadata.integer(key) else { return nil }
            guard (1...1 << 20).contains(count) else {
                throw CheckpointError.configuration(
                    file: metadata.file, key: key, expected: "1 to \(1 << 20)", found: "\(count)")
            }
            return count
        }
        let queryHeads = try heads("\(architecture).attention.head_count")
        let keyHeads = try heads("\(architecture).attention.head_count_kv") ?? queryHeads
        return { name in
            guard name.hasPrefix("blk.") else { return nil }
            if name.hasSuffix(".attn_q.weight") || name.hasSuffix(".attn_q.bias") { return queryHeads }
            if name.hasSuffix(".attn_k.weight") || name.hasSuffix(".attn_k.bias") { return keyHeads }
            return nil
        }
    }

    public var tensors: [TensorDescription] { table.stored.map(\.description) }

    public func description(of name: String) -> TensorDescription? { table[name]?.description }

    public func load(_ name: String, as dtype: DType?) throws -> Tensor { try table.load(name, as: dtype, path: path) }

    public func load(_ name: String, number: Int, as dtype: DType?) throws -> Tensor {
        try table.load(name, number: number, as: dtype, path: path)
    }

    /// Llama 3's RoPE factors, by which each inverse frequency is divided; nil when the file has none.
    func loadRopeFactors() throws -> [Float]? { try ropeFactors?.load(as: .float32).array(Float.self) }
}
