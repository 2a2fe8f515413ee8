/// `bytes` as a gzip file that does not compress them (RFC 1951, section 3.2.4, and RFC 1952).
package func gzipped(_ bytes: some Collection<UInt8>) -> [UInt8] {
    var file: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]
    func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { file += $0 } }
    var rest = Array(bytes)[...]
    repeat {
        let part = rest.prefix(0xFFFF)
        rest = rest.dropFirst(part.count)
        file.append(rest.isEmpty ? 1 : 0)
        append(UInt16(part.count))
        append(~UInt16(part.count))
        file += part
    } while !rest.isEmpty
    append(
        ~bytes.reduce(~UInt32(0)) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in value >> 1 ^ (value & 1 == 0 ? 0 : 0xEDB8_8320) }
        })
    append(UInt32(bytes.count))
    return file
}
