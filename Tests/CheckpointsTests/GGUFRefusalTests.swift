import Checkpoints
import Testing

/// Every way in which a GGUF file can be unsound, each refused by the error that says so.
@Suite struct GGUFRefusalTests {
    private func refusal(_ change: (inout GGUFBuilder) -> Void) -> CheckpointError? {
        var builder = GGUFBuilder()
        builder.data = [UInt8](repeating: 0, count: 64)
        change(&builder)
        do {
            _ = try builder.open()
            return nil
        } catch { return error as? CheckpointError }
    }

    @Test func acceptsASoundFile() {
        #expect(
            refusal {
                $0.add("general.architecture", "test")
                $0.add(tensor: "x", [4, 2])
                $0.add(tensor: "y", [2], offset: 32)
            } == nil)
    }

    @Test func wrongMagic() {
        let expected = CheckpointError.malformed(
            file: "test.gguf", part: "the first four bytes", expected: "GGUF", found: "0x6767756d")
        #expect(refusal { $0.magic = Array("ggum".utf8) } == expected)
    }

    @Test(arguments: [0, 1, 4, 99] as [UInt32]) func version(_ version: UInt32) {
        let expected = CheckpointError.unsupported(
            file: "test.gguf", what: "GGUF version", found: "\(version)", supported: "2 and 3, little-endian")
        #expect(refusal { $0.version = version } == expected)
    }

    @Test func bigEndian() {
        let expected = CheckpointError.unsupported(
            file: "test.gguf", what: "GGUF version", found: "of big-endian byte order",
            supported: "2 and 3, little-endian")
        #expect(refusal { $0.version = UInt32(3).byteSwapped } == expected)
    }

    @Test func truncatedEverywhere() throws {
        let bytes = try fixtureBytes("llama.gguf")
        for length in stride(from: 0, to: bytes.count - 32, by: 97) {
            #expect(throws: CheckpointError.self) {
                try GGUFCheckpoint(contents: Array(bytes.prefix(length)), path: "test.gguf")
            }
        }
    }

    @Test(arguments: [1_000_000_000_000, .max, 1 << 63] as [UInt64])
    func counts(_ count: UInt64) {
        guard case .tooLarge(_, "the number of tensors", _, count) = refusal({ $0.tensorCount = count }) else {
            Issue.record("\(count) tensors are not refused")
            return
        }
        guard case .tooLarge(_, "the number of metadata keys", _, count) = refusal({ $0.keyCount = count }) else {
            Issue.record("\(count) keys are not refused")
            return
        }
        for type in [GGUFType.uint8, .string, .float64] {
            let error = refusal { $0.add("k", type: .array, littleEndian(type.rawValue) + littleEndian(count)) }
            guard case .tooLarge(_, "the length of k", _, count) = error else {
                Issue.record("an array of \(count) \(type) is not refused")
                return
            }
        }
    }

    @Test(arguments: [1_000_000, .max, 1 << 63] as [UInt64])
    func stringPastTheEnd(_ length: UInt64) {
        guard case .truncated(_, "k", length, _) = refusal({ $0.add("k", type: .string, littleEndian(length)) }) else {
            Issue.record("a string of \(length) bytes is not refused")
            return
        }
    }

    @Test func arrayOfArrays() {
        let nested = littleEndian(GGUFType.array.rawValue) + littleEndian(UInt64(1))
        let deep = (0..<5).flatMap { _ in nested }
        guard case .unsupported(_, _, "array of arrays", _) = refusal({ $0.add("k", type: .array, deep) }) else {
            Issue.record("an array of arrays is not refused")
            return
        }
    }

    @Test(arguments: [0, 3, 48, UInt32.max]) func alignment(_ alignment: UInt32) {
        let expected = CheckpointError.configuration(
            file: "test.gguf", key: "general.alignment", expected: "a power of two", found: "\(alignment)")
        #expect(refusal { $0.add("general.alignment", alignment) } == expected)
    }

    @Test func otherAlignment() throws {
        var builder = GGUFBuilder()
        builder.alignment = 8
        builder.add("general.alignment", 8)
        builder.add(tensor: "x", [2], offset: 8)
        builder.data =
            [UInt8](repeating: 0, count: 8) + littleEndian(Float(2).bitPattern) + littleEndian(Float(3).bitPattern)
        #expect(try builder.open().load("x").array(Float.self) == [2, 3])
    }

    @Test(arguments: [32, 96, 1 << 62, .max - 31] as [UInt64]) func offsetOutOfRange(_ offset: UInt64) {
        guard case .tensor(_, "x", _, "offset \(offset)") = refusal({ $0.add(tensor: "x", [9], offset: offset) }) else {
            Issue.record("offset \(offset) is not refused")
            return
        }
    }

    @Test func offsetBetweenAlignments() {
        let expected = CheckpointError.tensor(
            file: "test.gguf", name: "x", expected: "an offset that is a multiple of 32", found: "4")
        #expect(refusal { $0.add(tensor: "x", [2], offset: 4) } == expected)
    }

    @Test func overlap() {
        let error = refusal {
            $0.add(tensor: "x", [16])
            $0.add(tensor: "y", [2], offset: 32)
        }
        #expect(
            error == .tensor(file: "test.gguf", name: "y", expected: "bytes of its own", found: "an overlap with x"))
    }

    @Test func duplicates() {
        let tensors = refusal {
            $0.add(tensor: "x", [2])
            $0.add(tensor: "x", [2], offset: 32)
        }
        #expect(tensors == .duplicate(file: "test.gguf", name: "x"))
        let mapped = refusal {
            $0.add(tensor: "output.weight", [2])
            $0.add(tensor: "lm_head.weight", [2], offset: 32)
        }
        #expect(mapped == .duplicate(file: "test.gguf", name: "lm_head.weight"))
        let keys = refusal {
            $0.add("k", 1)
            $0.add("k", 2)
        }
        #expect(keys == .duplicate(file: "test.gguf", name: "k"))
    }

    @Test func shapes() {
        #expect(
            refusal { $0.add(tensor: "x", [1, 1, 1, 1, 1]) }
                == .tensor(file: "test.gguf", name: "x", expected: "at most 4 dimensions", found: "5"))
        for extents in [[1 << 63], [.max], [1 << 62, 1 << 62], [1 << 32, 1 << 32], [0, 1 << 61]] as [[UInt64]] {
            #expect(refusal { $0.add(tensor: "x", extents) } != nil, "\(extents)")
        }
        // Half a block of Q8_0.
        #expect(refusal { $0.add(tensor: "x", [16], type: 8) } != nil)
    }

    @Test func types() {
        guard
            case .unsupported(_, "type of tensor x:", "GGML type 99", let supported) = refusal({
                $0.add(tensor: "x", [2], type: 99)
            })
        else {
            Issue.record("An unknown type is not refused")
            return
        }
        #expect(supported.hasPrefix("BF16, F16, F32, F64, I16"))
        #expect(refusal { $0.add("k", type: .bool, [2]) } != nil)
        var builder = GGUFBuilder()
        builder.add("k", type: .uint8, [1])
        // The type follows the header, the key's length and the key.
        var bytes = builder.bytes
        bytes[24 + 8 + 1] = 13
        #expect(throws: CheckpointError.self) { try GGUFCheckpoint(contents: bytes, path: "test.gguf") }
    }

    @Test func partOfASplitFile() {
        guard case .unsupported(_, _, "3 parts", _) = refusal({ $0.add("split.count", 3) }) else {
            Issue.record("a part of a split file is not refused")
            return
        }
    }

    @Test func headsThatDoNotDivideTheRows() {
        for (heads, extents, type) in [(3, [4, 8], 0), (0, [4, 8], 0), (1, [2, 2, 2], 0), (1, [32], 8)]
            as [(UInt32, [UInt64], UInt32)]
        {
            let error = refusal {
                $0.add("general.architecture", "llama")
                $0.add("llama.attention.head_count", heads)
                $0.add(tensor: "blk.0.attn_q.weight", extents, type: type)
                $0.data = [UInt8](repeating: 0, count: 256)
            }
            #expect(error != nil, "\(heads) heads, \(extents)")
        }
    }

    @Test func metadataOfAnotherType() throws {
        var builder = GGUFBuilder()
        builder.add("text", "three")
        builder.add("number", 3)
        let metadata = try builder.open().metadata
        #expect(metadata.keys == ["text", "number"])
        #expect(try metadata.integer("number") == 3 && metadata.number("number") == 3)
        #expect(try metadata.string("absent") == nil)
        for read in [
            { _ = try metadata.integer("text") }, { _ = try metadata.bool("number") },
            { _ = try metadata.strings("text") },
        ]
            as [() throws -> Void]
        {
            #expect(throws: CheckpointError.self) { try read() }
        }
    }

    @Test func tokenizerThatDoesNotFit() throws {
        func tokenizer(_ change: (inout GGUFBuilder) -> Void) throws -> GGUFTokenizer {
            var builder = GGUFBuilder()
            change(&builder)
            return try GGUFTokenizer(builder.open().metadata)
        }
        func tokens(_ builder: inout GGUFBuilder, _ texts: [[UInt8]]) {
            let strings = texts.flatMap { littleEndian(UInt64($0.count)) + $0 }
            builder.add("tokenizer.ggml.model", "gpt2")
            builder.add(
                "tokenizer.ggml.tokens", type: .array,
                littleEndian(GGUFType.string.rawValue) + littleEndian(UInt64(texts.count)) + strings)
        }
        #expect(try tokenizer { tokens(&$0, [[97], [98]]) }.tokens == ["a", "b"])
        #expect(throws: CheckpointError.self) { try tokenizer { _ in } }
        #expect(throws: CheckpointError.self) { try tokenizer { tokens(&$0, [[0xFF]]) } }
        #expect(throws: CheckpointError.self) {
            try tokenizer {
                tokens(&$0, [[97], [98]])
                $0.add("tokenizer.ggml.bos_token_id", 2)
            }
        }
        #expect(throws: CheckpointError.self) {
            try tokenizer {
                tokens(&$0, [[97], [98]])
                let one = littleEndian(GGUFType.int32.rawValue) + littleEndian(UInt64(1)) + littleEndian(Int32(1))
                $0.add("tokenizer.ggml.token_type", type: .array, one)
            }
        }
    }
}
