import Foundation
import Tensors

/// A tensor's place in a mapped file. Made only after the place has been checked against the file.
struct StoredTensor: Sendable {
    let description: TensorDescription
    let file: MappedFile
    /// The first byte in the file; the description's byte count follows within the file.
    let offset: Int
    /// The number of heads, each with its rows interleaved as llama.cpp's converter leaves those of q and k: stored
    /// row 2i + j of a head is row i + j · (rows per head) / 2. Nil when rows are in order.
    var interleavedHeads: Int?

    /// One of the tensors of which this is a stack, along its first dimension.
    func number(_ number: Int) throws -> StoredTensor {
        let shape = description.shape
        guard shape.count > 1, (0..<shape[0]).contains(number), interleavedHeads == nil,
            !(description.format.dtype?.isQuantised ?? false)
        else {
            throw CheckpointError.tensor(
                file: description.file, name: description.name, expected: "a stack of more than \(number) tensors",
                found: "\(shape) of \(description.format.rawValue)")
        }
        let byteCount = description.byteCount / shape[0]
        let part = TensorDescription(
            name: description.name, shape: Array(shape.dropFirst()), format: description.format, byteCount: byteCount,
            file: description.file)
        return StoredTensor(description: part, file: file, offset: offset + number * byteCount)
    }

    /// Reads the tensor as ``Checkpoint/load(_:as:)`` does.
    func load(as requested: DType?) throws -> Tensor {
        let format = description.format
        guard !format.isOpaque else {
            throw CheckpointError.conversion(
                file: description.file, name: description.name, from: format.rawValue,
                to: format.isGGMLBlock
                    ? "a weight; take a file of the model in another type, such as Q4_K_M, or quantise it anew"
                    : "a weight; save the model with weights in bfloat16 first")
        }
        let target = requested ?? format.dtype ?? .float32
        let source = UnsafeRawBufferPointer(rebasing: file.bytes[offset..<offset + description.byteCount])
        if format == .bool, let byte = source.first(where: { $0 > 1 }) {
            throw CheckpointError.tensor(
                file: description.file, name: description.name, expected: "bytes of 0 and 1", found: "\(byte)")
        }
        if let stored = format.dtype, stored.isQuantised {
            return try loadQuantised(source, stored, as: target)
        }
        if target == format.dtype, interleavedHeads == nil, isAligned(source, to: target.size) {
            return try Tensor(borrowing: source, shape: description.shape, dtype: target, owner: file)
        }
        guard target == format.dtype || target.isFloatingPoint && format.dtype?.isFloatingPoint ?? true else {
            throw CheckpointError.conversion(
                file: description.file, name: description.name, from: format.rawValue, to: target.rawValue)
        }
        return try withExtendedLifetime(file) {
            var tensor = try Tensor.empty(description.shape, target)
            guard tensor.count > 0, let start = source.baseAddress else { return tensor }
            try tensor.withMutableMemory { write(start, to: $0, target) }
            return tensor
        }
    }

    /// Products read the lines of a quantised tensor, 64 bytes, where the file aligns them; otherwise from a copy.
    private func loadQuantised(_ source: UnsafeRawBufferPointer, _ stored: DType, as target: DType) throws -> Tensor {
        guard target == stored || target.isFloatingPoint else {
            throw CheckpointError.conversion(
                file: description.file, name: description.name, from: stored.rawValue, to: target.rawValue)
        }
        if isAligned(source, to: 64) {
            return try Tensor(borrowing: source, shape: description.shape, dtype: stored, owner: file)
                .converted(to: target)
        }
        return try withExtendedLifetime(file) {
            try Tensor(description.shape, stored) { $0.copyMemory(from: source) }.converted(to: target)
        }
    }

    /// Writes all elements, in rows where their order changes.
    private func write(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ type: DType) {
        let format = description.format
        let count = description.shape.reduce(1, *)
        guard let heads = interleavedHeads, let rows = description.shape.first else {
            return transcode(source, to: target, type, count: count)
        }
        let rowCount = count / rows, rowsPerHead = rows / heads
        let sourceStride = rowCount / format.blockElements * format.blockBytes, targetStride = rowCount * type.size
        for row in 0..<rows {
            let (head, place) = row.quotientAndRemainder(dividingBy: rowsPerHead)
            let half = rowsPerHead / 2
            let stored = head * rowsPerHead + place % half * 2 + place / half
            transcode(source + stored * sourceStride, to: target + row * targetStride, type, count: rowCount)
        }
    }

    /// Writes `count` consecutive elements, a whole number of blocks, as `type`.
    private func transcode(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ type: DType, count: Int) {
        let format = description.format
        if format.dtype == type {
            target.copyMemory(from: source, byteCount: count * type.size)
        } else if let stored = format.dtype {
            convert(source, stored, to: target, type, count: count)
        } else if type == .float32 {
            dequantise(source, format, to: target.assumingMemoryBound(to: Float.self), count: count)
        } else {
            // Through a buffer that stays in the cache.
            let step = 4096
            withUnsafeTemporaryAllocation(of: Float.self, capacity: step) { buffer in
                guard let floats = buffer.baseAddress else { return }
                for start in stride(from: 0, to: count, by: step) {
                    let part = min(step, count - start)
                    dequantise(
                        source + start / format.blockElements * format.blockBytes, format, to: floats, count: part)
                    convert(floats, .float32, to: target + start * type.size, type, count: part)
                }
            }
        }
    }

    private func isAligned(_ memory: UnsafeRawBufferPointer, to size: Int) -> Bool {
        Int(bitPattern: memory.baseAddress) % size == 0
    }
}

extension Tensor {
    /// Calls `body` with the tensor's memory for writing, whatever its element type.
    mutating func withMutableMemory(_ body: (UnsafeMutableRawPointer) -> Void) throws {
        func write<Element: TensorElement>(_ type: Element.Type) throws {
            try withMutable(type) { if let start = $0.baseAddress { body(UnsafeMutableRawPointer(start)) } }
        }
        switch dtype {
        case .float64: try write(Double.self)
        case .float32: try write(Float.self)
        case .float16: try write(Float16.self)
        case .bfloat16: try write(BFloat16.self)
        case .int64: try write(Int64.self)
        case .int32: try write(Int32.self)
        case .uint8: try write(UInt8.self)
        case .bool: try write(Bool.self)
        case .q8, .q4:
            throw TensorError.dtype(operation: "load", argument: "tensor", expected: "a plain type", found: dtype)
        }
    }
}
