import Checkpoints
import Foundation
import Support
import Tensors
import TestSupport

/// The path of a fixture made by Tools/fixtures/checkpoints.py.
func fixture(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/\(name)").path
}

/// A fixture's bytes.
func fixtureBytes(_ name: String) throws -> [UInt8] {
    try [UInt8](Data(contentsOf: URL(fileURLWithPath: fixture(name))))
}

/// Calls `body` with the path of a new folder, and removes it.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = try TemporaryFolder()
    return try withExtendedLifetime(folder) { try body(folder.path) }
}

extension Tensor {
    /// The tensor's bytes.
    var allBytes: [UInt8] {
        get throws { try withUnsafeBytes { Array($0) } }
    }

    /// The same shape, type and bits, any NaN being equal to any other.
    func isIdentical(to other: Tensor) throws -> Bool {
        guard shape == other.shape, dtype == other.dtype else { return false }
        guard dtype == .float32 else { return try allBytes == other.allBytes }
        return zip(try array(Float.self), try other.array(Float.self)).allSatisfy {
            $0.bitPattern == $1.bitPattern || $0.isNaN && $1.isNaN
        }
    }
}

/// A .safetensors file of this header and data.
func safetensors(_ header: String, data: [UInt8] = []) -> [UInt8] {
    littleEndian(UInt64(header.utf8.count)) + Array(header.utf8) + data
}

func littleEndian<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// A tensor stored and read again as another type.
func converted(_ tensor: Tensor, to dtype: DType) throws -> Tensor {
    let shape = JSONValue.array(tensor.shape.map { .integer($0) }).text()
    let header = """
        {"x":{"dtype":"\(StoredFormat(tensor.dtype).rawValue)","shape":\(shape),"data_offsets":[0,\(tensor.byteCount)]}}
        """
    return try SafetensorsCheckpoint(contents: safetensors(header, data: tensor.allBytes), path: "test").load(
        "x", as: dtype)
}

/// Builds GGUF files piece by piece, unsound ones too.
struct GGUFBuilder {
    var magic = Array("GGUF".utf8)
    var version: UInt32 = 3
    var tensorCount: UInt64?
    var keyCount: UInt64?
    private(set) var pairs: [[UInt8]] = []
    private(set) var infos: [[UInt8]] = []
    var data: [UInt8] = []
    var alignment = 32

    static func string(_ text: String) -> [UInt8] { littleEndian(UInt64(text.utf8.count)) + Array(text.utf8) }

    mutating func add(_ key: String, type: GGUFType, _ value: [UInt8]) {
        pairs.append(Self.string(key) + littleEndian(type.rawValue) + value)
    }

    mutating func add(_ key: String, _ value: String) { add(key, type: .string, Self.string(value)) }

    mutating func add(_ key: String, _ value: UInt32) { add(key, type: .uint32, littleEndian(value)) }

    /// Adds a tensor's description; `extents` innermost first.
    mutating func add(tensor name: String, _ extents: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
        infos.append(
            Self.string(name) + littleEndian(UInt32(extents.count)) + extents.flatMap { littleEndian($0) }
                + littleEndian(type) + littleEndian(offset))
    }

    var bytes: [UInt8] {
        var result = magic + littleEndian(version)
        result += littleEndian(tensorCount ?? UInt64(infos.count)) + littleEndian(keyCount ?? UInt64(pairs.count))
        result += (pairs + infos).joined()
        while result.count % alignment != 0 { result.append(0) }
        return result + data
    }

    func open() throws -> GGUFCheckpoint { try GGUFCheckpoint(contents: bytes, path: "test.gguf") }
}
