/// A protocol buffer message as it is written, field by field in ascending order
/// (protobuf.dev/programming-guides/encoding). TensorBoard's events need nine fields of five types, which is no reason
/// for a dependency with a code generator.
struct ProtocolBuffer {
    private(set) var bytes: [UInt8] = []

    private enum WireType: UInt64 { case variable, eightBytes, delimited, fourBytes = 5 }

    private mutating func append(variable value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private mutating func append(field: UInt64, _ type: WireType) { append(variable: field << 3 | type.rawValue) }

    mutating func append(_ field: UInt64, _ value: Int) {
        append(field: field, .variable)
        append(variable: UInt64(bitPattern: Int64(value)))
    }

    mutating func append(_ field: UInt64, _ value: Double) {
        append(field: field, .eightBytes)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
    }

    mutating func append(_ field: UInt64, _ value: Float) {
        append(field: field, .fourBytes)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
    }

    mutating func append(_ field: UInt64, _ value: some Collection<UInt8>) {
        append(field: field, .delimited)
        append(variable: UInt64(value.count))
        bytes += value
    }

    mutating func append(_ field: UInt64, _ value: String) { append(field, value.utf8) }

    mutating func append(_ field: UInt64, _ message: ProtocolBuffer) { append(field, message.bytes) }
}
