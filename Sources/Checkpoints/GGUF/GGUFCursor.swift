/// Reads little-endian values from memory, each checked against what is left.
struct GGUFCursor {
    private let bytes: UnsafeRawBufferPointer
    let file: String
    private(set) var position = 0

    /// `bytes` must outlive the cursor.
    init(_ bytes: UnsafeRawBufferPointer, file: String) {
        self.bytes = bytes
        self.file = file
    }

    init(_ mapped: MappedFile) { self.init(mapped.bytes, file: mapped.path) }

    var remaining: Int { bytes.count - position }

    mutating func integer<Integer: FixedWidthInteger & BitwiseCopyable>(
        _ type: Integer.Type, _ part: @autoclosure () -> String
    ) throws -> Integer {
        let start = try skip(UInt64(MemoryLayout<Integer>.size), part())
        return Integer(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: Integer.self))
    }

    /// A length and as many bytes, as text. Bytes that are not UTF-8 are refused, or replaced when `repairing`.
    mutating func string(_ part: @autoclosure () -> String, repairing: Bool = false) throws -> String {
        let length = try integer(UInt64.self, "the length of \(part())")
        let start = try skip(length, part())
        let text = UnsafeRawBufferPointer(rebasing: bytes[start..<position])
        if let string = String(validating: text, as: UTF8.self) { return string }
        guard repairing else {
            throw CheckpointError.malformed(file: file, part: part(), expected: "UTF-8", found: "other bytes")
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Passes over a string.
    mutating func skipString(_ part: @autoclosure () -> String) throws {
        let length = try integer(UInt64.self, part())
        _ = try skip(length, part())
    }

    /// A count of items of at least `size` bytes each, refused when so many cannot follow.
    mutating func count(ofSize size: Int, _ part: @autoclosure () -> String) throws -> Int {
        let count = try integer(UInt64.self, part())
        let limit = remaining / size
        guard count <= UInt64(limit) else {
            throw CheckpointError.tooLarge(file: file, part: part(), limit: UInt64(limit), found: count)
        }
        return Int(count)
    }

    /// Passes over `count` bytes and returns where they begin.
    @discardableResult
    mutating func skip(_ count: UInt64, _ part: @autoclosure () -> String) throws -> Int {
        guard count <= UInt64(remaining) else {
            throw CheckpointError.truncated(file: file, part: part(), needed: count, available: remaining)
        }
        defer { position += Int(count) }
        return position
    }
}
