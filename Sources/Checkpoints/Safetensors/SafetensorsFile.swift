import Support

/// One .safetensors file: 8 bytes of header length (little-endian), a JSON header, the tensors' bytes.
///
/// As in Hugging Face's reader the header has at most 100 MB and the tensors cover the rest of the file exactly, without
/// gaps and overlaps. Quantised tensors are described in the metadata (``QuantisedLayout``).
struct SafetensorsFile {
    let file: MappedFile
    /// In the order of their bytes.
    private(set) var tensors: [StoredTensor] = []
    private(set) var metadata: [String: String] = [:]

    static let headerLimit = 100_000_000
    private static let formats: [StoredFormat] = [
        .f64, .f32, .f16, .bf16, .i64, .i32, .u8, .bool, .i8, .i16, .u16, .u32, .u64, .c64, .f8E4M3, .f8E5M2, .f8E8M0,
        .f8E4M3FNUZ, .f8E5M2FNUZ, .f6E2M3, .f6E3M2, .f4,
    ]

    init(path: String) throws { try self.init(MappedFile(path: path)) }

    init(_ file: MappedFile) throws {
        self.file = file
        guard file.bytes.count >= 8 else {
            throw CheckpointError.truncated(
                file: file.path, part: "the header's length", needed: 8, available: file.bytes.count)
        }
        let claimed = UInt64(littleEndian: file.bytes.loadUnaligned(as: UInt64.self))
        guard claimed <= UInt64(Self.headerLimit) else {
            throw CheckpointError.tooLarge(
                file: file.path, part: "the header's length", limit: UInt64(Self.headerLimit), found: claimed)
        }
        let length = Int(claimed)
        guard length <= file.bytes.count - 8 else {
            throw CheckpointError.truncated(
                file: file.path, part: "the header", needed: claimed, available: file.bytes.count - 8)
        }
        let header = UnsafeRawBufferPointer(rebasing: file.bytes[8..<8 + length])
        var scanner = JSONScanner(header)
        var spans: [Span] = []
        do {
            try withExtendedLifetime(file) {
                try scanner.object { scanner, key in
                    if key == "__metadata__" {
                        metadata = try Self.metadata(&scanner, file: file.path)
                    } else {
                        spans.append(try Self.span(&scanner, name: key, file: file.path))
                    }
                }
                try scanner.end()
            }
        } catch let fault as JSONFault { throw CheckpointError(fault, file: file.path) }
        try place(&spans, dataStart: 8 + length)
        try checkDescriptions()
    }

    /// A tensor as the header describes it; offsets count from the end of the header.
    private struct Span {
        let name: String
        let format: StoredFormat
        let shape: [Int]
        let begin: Int
        let end: Int
    }

    private static func metadata(_ scanner: inout JSONScanner, file: String) throws -> [String: String] {
        var result: [String: String] = [:]
        try scanner.object { scanner, key in
            let value = try scanner.value()
            guard case .string(let string) = value else {
                throw CheckpointError.malformed(
                    file: file, part: "__metadata__.\(key)", expected: "a string", found: value.summary)
            }
            result[key] = string
        }
        return result
    }

    private static func span(_ scanner: inout JSONScanner, name: String, file: String) throws -> Span {
        var type: String?, shape: [Int]?, offsets: [Int]?
        try scanner.object { scanner, key in
            switch key {
            case "dtype": type = try scanner.string()
            case "shape": shape = try counts(&scanner)
            case "data_offsets": offsets = try counts(&scanner)
            default:
                throw CheckpointError.tensor(
                    file: file, name: name, expected: "dtype, shape and data_offsets", found: "the key \"\(key)\"")
            }
        }
        guard let type, let shape, let offsets, offsets.count == 2 else {
            throw CheckpointError.tensor(
                file: file, name: name, expected: "dtype, shape and two data_offsets",
                found: type == nil ? "no dtype" : shape == nil ? "no shape" : "\(offsets?.count ?? 0) offsets")
        }
        guard let format = formats.first(where: { $0.rawValue == type }) else {
            throw CheckpointError.unsupported(
                file: file, what: "type of tensor \(name)", found: type,
                supported: formats.map(\.rawValue).joined(separator: ", "))
        }
        return Span(name: name, format: format, shape: shape, begin: offsets[0], end: offsets[1])
    }

    private static func counts(_ scanner: inout JSONScanner) throws -> [Int] {
        var result: [Int] = []
        try scanner.array { result.append(try $0.count()) }
        return result
    }

    /// The quantised tensor that the metadata says a span is; nil when it is a plain one.
    private func layout(of span: Span) throws -> QuantisedLayout? {
        guard let text = metadata[QuantisedLayout.prefix + span.name] else { return nil }
        guard let layout = QuantisedLayout(text) else {
            throw CheckpointError.malformed(
                file: file.path, part: "__metadata__.\(QuantisedLayout.prefix)\(span.name)",
                expected: "\"q8\" or \"q4\", outputs and inputs, these a multiple of 32", found: "\"\(text)\"")
        }
        guard span.format == .u8, span.shape == layout.storedShape else {
            throw CheckpointError.tensor(
                file: file.path, name: span.name, expected: "U8 \(layout.storedShape) for \(layout.description)",
                found: "\(span.format.rawValue) \(span.shape)")
        }
        return layout
    }

    /// Checks that every quantised tensor that the metadata describes is there.
    private func checkDescriptions() throws {
        let names = Set(tensors.map(\.description.name))
        for key in metadata.keys.sorted() where key.hasPrefix(QuantisedLayout.prefix) {
            let name = String(key.dropFirst(QuantisedLayout.prefix.count))
            guard names.contains(name) else { throw CheckpointError.missingTensor(path: file.path, name: name) }
        }
    }

    /// Checks that the spans, in the order of their offsets, cover the data exactly.
    private mutating func place(_ spans: inout [Span], dataStart: Int) throws {
        spans.sort { ($0.begin, $0.end) < ($1.begin, $1.end) }
        let dataCount = file.bytes.count - dataStart
        var position = 0
        for span in spans {
            func wrong(_ expected: String, _ found: String) -> CheckpointError {
                .tensor(file: file.path, name: span.name, expected: expected, found: found)
            }
            guard span.begin <= span.end, span.end <= dataCount else {
                throw wrong("offsets within \(dataCount) bytes of data", "\(span.begin)..<\(span.end)")
            }
            guard span.begin == position else {
                throw wrong(
                    "bytes that begin at \(position), where the previous tensor ends",
                    "\(span.begin) (\(span.begin < position ? "an overlap" : "a gap"))")
            }
            guard let byteCount = span.format.byteCount(shape: span.shape) else {
                throw wrong("a shape whose size can be counted", "\(span.shape)")
            }
            guard byteCount == span.end - span.begin else {
                throw wrong(
                    "\(byteCount) bytes for \(span.shape) of \(span.format.rawValue)", "\(span.end - span.begin) bytes")
            }
            position = span.end
            let layout = try layout(of: span)
            let description = TensorDescription(
                name: span.name, shape: layout?.shape ?? span.shape,
                format: layout.map { StoredFormat($0.dtype) } ?? span.format, byteCount: byteCount, file: file.path)
            tensors.append(StoredTensor(description: description, file: file, offset: dataStart + span.begin))
        }
        guard position == dataCount else {
            throw CheckpointError.malformed(
                file: file.path, part: "data after the last tensor", expected: "none",
                found: "\(dataCount - position) bytes")
        }
    }
}
