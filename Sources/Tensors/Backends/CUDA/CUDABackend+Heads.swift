extension CUDABackend {
    public func pickHeads(_ x: Tensor, _ heads: HeadSet, of count: Int) throws -> Tensor {
        let each = x.shape[2] / count
        let result = try empty([x.shape[0], x.shape[1], each * heads.count, x.shape[3]])
        try overHeads("pick_heads", of: result.shape, each: each, heads, count, [.tensor(x), .tensor(result)])
        return result
    }

    public func joinHeads(_ some: Tensor?, _ others: Tensor?, by heads: HeadSet, of count: Int) throws -> Tensor {
        guard let part = some ?? others else { return try empty([0]) }
        let each = part.shape[2] / (some == nil ? count - heads.count : heads.count)
        let result = try empty([part.shape[0], part.shape[1], each * count, part.shape[3]])
        try overHeads(
            "join_heads", of: result.shape, each: each, heads, count, [.tensor(some), .tensor(others), .tensor(result)])
        return result
    }

    /// Launches a kernel of heads.cu for a result (B, T, ·, W) with `each` heads side by side for each of `count`.
    private func overHeads(
        _ kernel: String, of shape: [Int], each: Int, _ heads: HeadSet, _ count: Int, _ arguments: [Argument]
    ) throws {
        let (rows, width) = (shape[0] * shape[1], each * shape[3])
        try device.launch(
            "heads.cu", kernel, grid: ((rows * count * ((width + 7) / 8) + 255) / 256, 1, 1),
            arguments + [.long(Int(bitPattern: UInt(heads.bits))), .int(rows), .int(count), .int(width)])
    }
}
