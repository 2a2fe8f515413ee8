import Checkpoints
import Foundation
import Tensors

/// Reads the parts of a state file one after another; nothing is touched that does not lie before `end`.
struct StateReader {
    let bytes: UnsafeRawBufferPointer
    private(set) var position: Int
    let path: String
    var end: Int

    init(bytes: UnsafeRawBufferPointer, position: Int, path: String) {
        (self.bytes, self.position, self.path, end) = (bytes, position, path, bytes.count)
    }

    func damage(_ found: String) -> GenerationError { .damagedState(path: path, reason: "found \(found)") }

    mutating func take(_ count: Int, _ part: String) throws -> UnsafeRawBufferPointer {
        guard count >= 0, count <= end - position else {
            throw damage("\(end - position) bytes for the \(part), which needs \(count)")
        }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_ part: String) throws -> Number {
        Number(littleEndian: try take(MemoryLayout<Number>.size, part).loadUnaligned(as: Number.self))
    }

    /// An unsigned number of 8 bytes that is at most `limit`.
    mutating func integer(_ part: String, limit: Int) throws -> Int {
        let value: UInt64 = try number(part)
        guard value <= UInt64(limit) else { throw damage("\(value) as the \(part), which is \(limit) at most") }
        return Int(value)
    }

    mutating func tokens(_ count: Int) throws -> [Int32] {
        try (0..<count).map { _ in Int32(bitPattern: try number("tokens")) }
    }

    mutating func floats(_ shape: [Int], _ part: String) throws -> Tensor {
        var count = 4
        for extent in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard !overflow else { throw damage("a tensor of shape \(shape)") }
            count = product
        }
        let contents = try take(count, part)
        var tensor = try Tensor.empty(shape)
        try tensor.withMutable(Float.self) { UnsafeMutableRawBufferPointer($0).copyMemory(from: contents) }
        return tensor
    }

    mutating func pad() throws { _ = try take(-position & 7, "padding") }
}
