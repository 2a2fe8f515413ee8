import Support
import Tensors

/// How tensors are spread over safetensors files: in order, each file up to a limit (a tensor above it has a file of
/// its own).
struct ShardLayout {
    struct Entry {
        let name: String
        let shape: [Int]
        let dtype: DType
        let byteCount: Int
        let shard: Int
        /// Counted from the start of the file.
        var offset = 0
    }

    /// One file: its name, the bytes before the tensors, and its total size.
    struct Shard {
        var name = ""
        var header: [UInt8] = []
        var byteCount = 0
    }

    /// In the order of declaration.
    private(set) var entries: [Entry] = []
    private(set) var shards: [Shard] = []
    /// Bytes of all tensors.
    private(set) var tensorBytes = 0

    /// - Throws: ``CheckpointError`` for a name that is empty, reserved or used twice, and a shape that overflows.
    init(
        tensors: [(name: String, shape: [Int], dtype: DType)], shardLimit: Int, metadata: [String: String], path: String
    ) throws {
        var names: Set<String> = [], shard = 0, filled = 0
        for tensor in tensors {
            guard !tensor.name.isEmpty, tensor.name != "__metadata__", names.insert(tensor.name).inserted else {
                throw CheckpointError.duplicate(file: path, name: tensor.name)
            }
            let total = StoredFormat(tensor.dtype).byteCount(shape: tensor.shape).map(
                tensorBytes.addingReportingOverflow)
            guard let total, !total.overflow, total.partialValue < Int.max / 2 else {
                throw CheckpointError.tensor(
                    file: path, name: tensor.name, expected: "a shape whose size can be counted",
                    found: "\(tensor.shape)")
            }
            let byteCount = total.partialValue - tensorBytes
            if filled > 0, byteCount > shardLimit - filled {
                shard += 1
                filled = 0
            }
            filled += byteCount
            tensorBytes = total.partialValue
            entries.append(
                Entry(name: tensor.name, shape: tensor.shape, dtype: tensor.dtype, byteCount: byteCount, shard: shard))
        }
        for index in 0...shard { shards.append(layOut(index, count: shard + 1, metadata: metadata)) }
    }

    /// Places the tensors of one file: quantised ones first, from 64 bytes on and multiples of 64 bytes long, then the
    /// others by falling element size, so that every one is aligned.
    private mutating func layOut(_ index: Int, count: Int, metadata: [String: String]) -> Shard {
        let own = entries.indices.filter { entries[$0].shard == index }
        let (quantised, plain) = (
            own.filter { entries[$0].dtype.isQuantised }, own.filter { !entries[$0].dtype.isQuantised }
        )
        let order = quantised + [8, 4, 2, 1].flatMap { size in plain.filter { entries[$0].dtype.size == size } }
        var header = JSONObject(), position = 0
        var metadata = metadata
        for place in quantised {
            let layout = QuantisedLayout(dtype: entries[place].dtype, shape: entries[place].shape)
            metadata[QuantisedLayout.prefix + entries[place].name] = layout.description
        }
        if !metadata.isEmpty {
            let sorted = metadata.sorted { $0.key < $1.key }
            header["__metadata__"] = .object(JSONObject(sorted.map { ($0.key, .string($0.value)) }))
        }
        for place in order {
            let entry = entries[place]
            let bytes =
                entry.dtype.isQuantised ? QuantisedLayout(dtype: entry.dtype, shape: entry.shape).storedShape : nil
            header[entry.name] = [
                "dtype": .string(bytes == nil ? StoredFormat(entry.dtype).rawValue : StoredFormat.u8.rawValue),
                "shape": .array((bytes ?? entry.shape).map { .integer($0) }),
                "data_offsets": [.integer(position), .integer(position + entry.byteCount)],
            ]
            entries[place].offset = position
            position += entry.byteCount
        }
        var text = Array(JSONValue.object(header).text().utf8)
        // The length before the header takes 8 bytes: the data starts on a line of 64.
        while text.count % 64 != 56 { text.append(UInt8(ascii: " ")) }
        let prefix = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
        for place in order { entries[place].offset += prefix.count + text.count }
        return Shard(
            name: Self.fileName(index, of: count), header: prefix + text,
            byteCount: prefix.count + text.count + position)
    }

    private static func fileName(_ index: Int, of count: Int) -> String {
        func padded(_ number: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
        }
        return count == 1
            ? SafetensorsCheckpoint.fileName : "model-\(padded(index + 1))-of-\(padded(count)).safetensors"
    }

    /// The index of Hugging Face's format; nil for a single file.
    var index: JSONValue? {
        guard shards.count > 1 else { return nil }
        let files = entries.sorted { $0.name < $1.name }.map { ($0.name, JSONValue.string(shards[$0.shard].name)) }
        return ["metadata": ["total_size": .integer(tensorBytes)], "weight_map": .object(JSONObject(files))]
    }
}
