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
                found: StoredFormat.unread[number] ?? "GGML type \(number)",
                supported: StoredFormat.ggml.values.map(\.rawValue).sorted().joined(separator: ", ")
                    + "; take a file of the model in one of these, such as Q4_K_M, or quantise it anew")
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
    ]

    /// The names of the types that are not read.
    static let unread: [UInt32: String] = [
        9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S",
        29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4",
    ]

    init?(ggml number: UInt32) {
        guard let format = Self.ggml[number] else { return nil }
        self = format
    }
}
