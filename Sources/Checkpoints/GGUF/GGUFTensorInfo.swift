/// A tensor as a GGUF header describes it.
struct GGUFTensorInfo {
    let name: String
    /// Extents, outermost first; GGUF stores them innermost first.
    let shape: [Int]
    let format: StoredFormat
    /// Counted from the start of the file's data.
    let offset: UInt64

    init(_ cursor: inout GGUFCursor, index: Int) throws {
        name = try cursor.string("the name of tensor \(index)")
        let file = cursor.file, name = name
        let rank = try cursor.integer(UInt32.self, "the rank of \(name)")
        guard rank <= 4 else {
            throw CheckpointError.tensor(file: file, name: name, expected: "at most 4 dimensions", found: "\(rank)")
        }
        var extents: [Int] = []
        for _ in 0..<rank {
            let extent = try cursor.integer(UInt64.self, "the shape of \(name)")
            guard let count = Int(exactly: extent) else {
                throw CheckpointError.tensor(file: file, name: name, expected: "extents below 2^63", found: "\(extent)")
            }
            extents.append(count)
        }
        shape = extents.reversed()
        let number = try cursor.integer(UInt32.self, "the type of \(name)")
        guard let format = StoredFormat(ggml: number) else {
            throw CheckpointError.unsupported(
                file: file, what: "type of tensor \(name):",
                found: "GGML type \(number)",
                supported: StoredFormat.ggml.values.map(\.rawValue).sorted().joined(separator: ", "))
        }
        self.format = format
        offset = try cursor.integer(UInt64.self, "the offset of \(name)")
    }
}

extension StoredFormat {
    /// GGML's numbers of the types.
    static let ggml: [UInt32: StoredFormat] = [
        0: .f32, 1: .f16, 2: .q40, 3: .q41, 6: .q50, 7: .q51, 8: .q80, 10: .q2K, 11: .q3K, 12: .q4K, 13: .q5K, 14: .q6K,
        20: .iq4NL, 23: .iq4XS, 24: .i8, 25: .i16, 26: .i32, 27: .i64, 28: .f64, 30: .bf16,
        9: .q81, 15: .q8K, 16: .iq2XXS, 17: .iq2XS, 18: .iq3XXS, 19: .iq1S, 21: .iq3S, 22: .iq2S, 29: .iq1M, 34: .tq10,
        35: .tq20, 39: .mxfp4, 40: .nvfp4,
    ]

    init?(ggml number: UInt32) {
        guard let format = Self.ggml[number] else { return nil }
        self = format
    }
}
