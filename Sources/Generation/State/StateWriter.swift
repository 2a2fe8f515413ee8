import Checkpoints
import Foundation
import Support
import Tensors

/// Collects the bytes of a state file: little-endian, every part padded to 8 bytes.
struct StateWriter {
    private var contents: [UInt8] = []

    mutating func reserve(_ count: Int) { contents.reserveCapacity(count) }

    mutating func bytes(_ bytes: some Sequence<UInt8>) { contents.append(contentsOf: bytes) }

    mutating func number(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { contents.append(contentsOf: $0) }
    }

    /// Room for the length, which is known at the end.
    mutating func placeholder() -> Int {
        number(UInt64(0))
        return contents.count - 8
    }

    mutating func floats(_ tensor: Tensor) throws { try tensor.withUnsafeBytes { contents.append(contentsOf: $0) } }

    mutating func pad() { while contents.count % 8 != 0 { contents.append(0) } }

    /// The whole file, with its length at `place` and its checksum behind.
    mutating func finish(lengthAt place: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt64(contents.count + 8).littleEndian) {
            contents.replaceSubrange(place..<place + 8, with: $0)
        }
        number(contents.withUnsafeBytes(XXHash64.hash))
        return contents
    }
}
