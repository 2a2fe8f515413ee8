import Checkpoints
import Tensors
import Testing

@Suite struct SafetensorsTests {
    @Test func readsEveryPlainType() throws {
        let checkpoint = try SafetensorsCheckpoint(path: fixture("types.safetensors"))
        #expect(checkpoint.metadata == ["format": "pt", "note": "é"])
        #expect(try checkpoint.load("i64").array(Int64.self) == [.min, -1, 0, 1, 2, .max])
        #expect(try checkpoint.load("i64").shape == [2, 3])
        #expect(try checkpoint.load("i32").array(Int32.self) == [.min, 0, .max])
        #expect(try checkpoint.load("u8").array(UInt8.self) == [0, 1, 255])
        #expect(try checkpoint.load("bool").array(Bool.self) == [true, false, true])
        #expect(try checkpoint.load("scalar").array(Float.self) == [0.5])
        #expect(try checkpoint.load("scalar").shape == [])
        #expect(try checkpoint.load("empty").shape == [0, 4])
        #expect(checkpoint.description(of: "f16")?.format == .f16)
        #expect(checkpoint.description(of: "none") == nil)
        #expect(throws: CheckpointError.missingTensor(path: checkpoint.path, name: "none")) {
            try checkpoint.load("none")
        }
    }

    @Test func convertsAsPyTorch() throws {
        let checkpoint = try SafetensorsCheckpoint(path: fixture("types.safetensors"))
        for (stored, dtype) in [("f16", DType.float16), ("bf16", .bfloat16), ("f64", .float64)] {
            let narrowed = try checkpoint.load("f32", as: dtype), expected = try checkpoint.load(stored)
            #expect(try Self.isIdentical(narrowed, expected), "f32 to \(stored)")
            let widened = try checkpoint.load(stored, as: .float32)
            #expect(try widened.isIdentical(to: checkpoint.load(stored + "_as_f32")), "\(stored) to f32")
        }
        let direct = try checkpoint.load("f16", as: .bfloat16)
        #expect(try Self.isIdentical(direct, checkpoint.load("f16_as_bf16")))
    }

    /// The same bits, any NaN being equal to any other.
    private static func isIdentical(_ first: Tensor, _ second: Tensor) throws -> Bool {
        guard first.dtype == second.dtype, first.shape == second.shape else { return false }
        let floats = try [first, second].map { try converted($0, to: .float32).array(Float.self) }
        let sameNaN = zip(floats[0], floats[1]).allSatisfy { $0.isNaN == $1.isNaN }
        let size = first.dtype.size, left = try first.allBytes, right = try second.allBytes
        return sameNaN
            && floats[0].indices.allSatisfy {
                floats[0][$0].isNaN || left[$0 * size..<($0 + 1) * size] == right[$0 * size..<($0 + 1) * size]
            }
    }

    @Test func doesNotConvertBetweenNumbersAndIntegers() throws {
        let checkpoint = try SafetensorsCheckpoint(path: fixture("types.safetensors"))
        for (name, dtype) in [("i32", DType.float32), ("f32", .int32), ("bool", .uint8)] {
            #expect(throws: CheckpointError.self) { try checkpoint.load(name, as: dtype) }
        }
    }

    @Test func readsInPlace() throws {
        let checkpoint = try SafetensorsCheckpoint(path: fixture("types.safetensors"))
        let first = try checkpoint.load("f32"), second = try checkpoint.load("f32", as: .float32)
        #expect(try first.withUnsafeBytes { $0.baseAddress } == second.withUnsafeBytes { $0.baseAddress })
    }

    @Test func copiesWhatIsNotAligned() throws {
        // Headers of 49 to 56 bytes put the data at every place within 8 bytes.
        for padding in 0..<8 {
            let header =
                #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"# + String(repeating: " ", count: padding)
            let data = littleEndian(Float(1.5).bitPattern) + littleEndian(Float(-2).bitPattern)
            let checkpoint = try SafetensorsCheckpoint(contents: safetensors(header, data: data), path: "test")
            #expect(try checkpoint.load("x").array(Float.self) == [1.5, -2])
            #expect(try checkpoint.load("x", as: .float64).array(Double.self) == [1.5, -2])
        }
    }

    @Test func readsShards() throws {
        let checkpoint = try SafetensorsCheckpoint(path: fixture("llama"))
        #expect(checkpoint.tensors.count == 29)
        #expect(Set(checkpoint.tensors.map(\.file)).count == 4)
        #expect(checkpoint.description(of: "model.layers.1.self_attn.k_proj.weight")?.shape == [32, 32])
    }

    @Test func findsTensorsThatAreNotFinite() throws {
        let checkpoint = try SafetensorsCheckpoint(path: fixture("types.safetensors"))
        let found = try checkpoint.nonFiniteTensors()
        let floats = try checkpoint.load("f32").array(Float.self)
        let nan = floats.filter(\.isNaN).count, infinity = floats.filter(\.isInfinite).count
        #expect(nan > 0 && infinity > 0)
        for name in ["f32", "f64"] {
            #expect(found.contains(NonFiniteTensor(name: name, nanCount: nan, infinityCount: infinity)))
        }
        let halves = try checkpoint.load("f16_as_f32").array(Float.self)
        #expect(found.first { $0.name == "f16" }?.infinityCount == halves.filter(\.isInfinite).count)
        #expect(!found.contains { $0.name == "i32" || $0.name == "scalar" })
    }
}
