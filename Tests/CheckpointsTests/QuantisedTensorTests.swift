import Checkpoints
import Foundation
import Support
import Tensors
import Testing

@Suite("Quantised tensors in safetensors files")
struct QuantisedTensorTests {
    private static func tensors() throws -> [(name: String, tensor: Tensor)] {
        var generator = SplitMix64(seed: 1)
        func weight(_ outputs: Int, _ inputs: Int, _ dtype: DType) throws -> Tensor {
            let values = (0..<outputs * inputs).map { _ in Float.random(in: -1...1, using: &generator) }
            return try Tensor(values, shape: [outputs, inputs]).quantised(to: dtype).tensor
        }
        return [
            ("norm", try Tensor([1.5, -2, 3], shape: [3])), ("a", try weight(20, 96, .q4)),
            ("b", try weight(16, 32, .q8)),
            ("c", try weight(1, 64, .q4)),
        ]
    }

    private func write(to folder: String, shardLimit: Int = 1_000_000) throws {
        let tensors = try Self.tensors()
        let writer = try SafetensorsWriter(
            directory: folder, tensors: tensors.map { ($0.name, $0.tensor.shape, $0.tensor.dtype) },
            shardLimit: shardLimit)
        for (_, tensor) in tensors { try writer.append(tensor) }
        try writer.finish()
    }

    private func address(_ tensor: Tensor) throws -> Int {
        try tensor.withUnsafeBytes { Int(bitPattern: $0.baseAddress) }
    }

    @Test("read back bit for bit, in place, one file or several", arguments: [1_000_000, 1500])
    func roundTrip(_ shardLimit: Int) throws {
        try withTemporaryFolder { folder in
            try write(to: folder, shardLimit: shardLimit)
            let checkpoint = try SafetensorsCheckpoint(path: folder)
            #expect(checkpoint.tensors.count == 4)
            for (name, tensor) in try Self.tensors() {
                let (first, second) = (try checkpoint.load(name), try checkpoint.load(name))
                #expect(try first.isIdentical(to: tensor), "\(name)")
                // Two loads of one mapping have one address; copies would have two.
                #expect(try address(first) == address(second))
                #expect(try !tensor.dtype.isQuantised || address(first) % 64 == 0)
                let description = try #require(checkpoint.description(of: name))
                #expect(description.shape == tensor.shape && description.byteCount == tensor.byteCount)
                #expect(description.format.dtype == tensor.dtype)
                let wide = try checkpoint.load(name, as: .float32)
                #expect(try wide.isIdentical(to: tensor.converted(to: .float32)), "\(name)")
            }
            #expect(throws: CheckpointError.self) { try checkpoint.load("a", as: .q8) }
            #expect(throws: CheckpointError.self) { try checkpoint.load("norm", as: .q4) }
            #expect(throws: CheckpointError.self) { try checkpoint.load("a", as: .int32) }
        }
    }

    /// A file of one tensor `x`, with the description and the type and shape of bytes given.
    private func file(_ description: String, _ type: String, _ shape: [Int], name: String = "x") throws -> [UInt8] {
        let bytes = shape.reduce(type == "U8" ? 1 : 2, *)
        let header = """
            {"__metadata__":{"moult.quantised.\(name)":"\(description)"},"x":{"dtype":"\(type)","shape":\(shape),\
            "data_offsets":[0,\(bytes)]}}
            """
        return safetensors(header, data: [UInt8](repeating: 1, count: bytes))
    }

    private func refusal(_ bytes: [UInt8]) -> String {
        do {
            _ = try SafetensorsCheckpoint(contents: bytes, path: "test")
            return "none"
        } catch { return error is CheckpointError ? "\(error)" : "another kind of error" }
    }

    @Test("a file that does not align them is read all the same")
    func unaligned() throws {
        // 1 output of 32 inputs: 64 bytes of row scales, 64 of scales and zeros, 256 of codes. One space more moves the
        // data by a byte.
        let bytes = try file("q4 1 32", "U8", [1, 384])
        for extra in 0..<3 {
            let length = Int(UInt64(littleEndian: bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }))
            let moved =
                littleEndian(UInt64(length + extra)) + bytes[8..<8 + length]
                + [UInt8](repeating: 32, count: extra) + bytes[(8 + length)...]
            let tensor = try SafetensorsCheckpoint(contents: moved, path: "test").load("x")
            #expect(tensor.dtype == .q4 && tensor.shape == [1, 32])
            #expect(try address(tensor) % 64 == 0)
            #expect(try tensor.allBytes == [UInt8](repeating: 1, count: 384))
        }
    }

    @Test(
        "descriptions that are none",
        arguments: [
            "", "q4", "q4 1", "q4 1 32 1", "q5 1 32", "float32 1 32", "q4 1 33", "q4 0 32", "q4 -16 32", "q4 1 0",
            "q4 9223372036854775807 32", "q4 1 9223372036854775776", "q4 99999999999999999999 32", "q4  1 32",
            "Q4 1 32",
        ])
    func descriptions(_ text: String) throws {
        let found = refusal(try file(text, "U8", [1, 384]))
        #expect(found.contains("__metadata__.moult.quantised.x") && found.contains("\"\(text)\""), "\(found)")
    }

    @Test("bytes that do not fit the description")
    func bytes() throws {
        #expect(refusal(try file("q4 1 32", "U8", [1, 384])) == "none")
        for (type, shape) in [
            ("U8", [384]), ("U8", [2, 192]), ("U8", [1, 448]), ("U8", [2, 384]), ("BF16", [1, 384]),
        ] {
            let found = refusal(try file("q4 1 32", type, shape))
            #expect(found.contains("tensor x: expected U8 [1, 384] for q4 1 32, found \(type) \(shape)"), "\(found)")
        }
        #expect(refusal(try file("q8 17 32", "U8", [1, 576])).contains("expected U8 [2, 576]"))
    }

    @Test func describedAndMissing() throws {
        #expect(refusal(try file("q4 1 32", "U8", [1, 384], name: "y")).contains("there is no tensor y"))
    }

    @Test func truncatedEverywhere() throws {
        let bytes = try file("q4 1 32", "U8", [1, 384])
        for length in 0..<bytes.count { #expect(refusal(Array(bytes.prefix(length))) != "none", "\(length)") }
    }

    @Test("a configuration that asks for another method, width or group")
    func configuration() throws {
        let sound = try JSONValue(file: fixture("llama/config.json")).objectValue ?? JSONObject()
        func refusal(_ quantisation: JSONObject) -> String {
            var json = sound
            json["quantization_config"] = .object(quantisation)
            do {
                _ = try DecoderConfiguration(json: .object(json), file: "config.json")
                return "none"
            } catch { return "\(error)" }
        }
        #expect(refusal(["quant_method": "moult", "bits": 4, "group_size": 32]) == "none")
        #expect(refusal(["quant_method": "moult", "bits": 3, "group_size": 32]).contains("bits 3; supported: 8 and 4"))
        #expect(
            refusal(["quant_method": "moult", "bits": 4, "group_size": 128]).contains("group_size 128; supported: 32"))
        #expect(refusal(["quant_method": "moult", "group_size": 32]).contains("quantization_config.bits"))
        #expect(refusal(["quant_method": "moult", "bits": "4", "group_size": 32]).contains("quantization_config.bits"))
        #expect(refusal(["quant_method": "gptq", "bits": 4, "group_size": 32]).contains("gptq"))
    }
}
