import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

/// What other programs put beside, around and into weights.
@Suite struct ForeignTensorTests {
    private static let config = """
        {"model_type": "llama", "vocab_size": 4, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
         "num_attention_heads": 1, "tie_word_embeddings": true}
        """

    /// A model whose tensors are rows of bytes, each (4, 1) float32 beginning with the number given.
    private func model(_ names: [(String, Float)]) throws -> ModelFiles {
        let folder = try TemporaryFolder()
        try folder.write("config.json", Self.config)
        var (header, data) = (JSONObject(), [UInt8]())
        for (name, value) in names {
            header[name] = [
                "dtype": "F32", "shape": [4, 1],
                "data_offsets": [.integer(data.count), .integer(data.count + 16)],
            ]
            data += (0..<4).flatMap { littleEndian((value + Float($0)).bitPattern) }
        }
        try folder.write("model.safetensors", safetensors(JSONValue.object(header).text(), data: data))
        return try ModelFiles.open(folder.path)
    }

    private static let embedding = "model.embed_tokens.weight"

    @Test func aHeadThatDiffersIsKept() throws {
        let other = try model([(Self.embedding, 1), ("lm_head.weight", 2)])
        #expect(!other.configuration.tiedEmbeddings && other.remarks.count == 1)
        #expect(other.remarks[0].hasSuffix("the head of the file is kept, as in transformers 5"))
        let same = try model([(Self.embedding, 1), ("lm_head.weight", 1)])
        #expect(same.configuration.tiedEmbeddings && same.remarks.isEmpty)
    }

    @Test(arguments: ["_orig_mod.", "module.", "module._orig_mod.", "base_model.model.", "model.", "language_model."])
    func prefixesAreReadAway(prefix: String) throws {
        let files = try model([("\(prefix)\(Self.embedding)", 1), ("\(prefix)model.layers.0.x.weight", 5)])
        #expect(files.checkpoint.tensors.map(\.name).sorted() == [Self.embedding, "model.layers.0.x.weight"])
        #expect(try files.checkpoint.load("model.layers.0.x.weight").array(Float.self) == [5, 6, 7, 8])
        #expect(files.remarks.count == 1)
    }

    @Test func wrappersWithinNamesAndBareModels() throws {
        let inner = try model([("model._orig_mod.embed_tokens.weight", 1), ("model._orig_mod.norm.weight", 2)])
        #expect(inner.checkpoint.description(of: "model.norm.weight") != nil && inner.remarks.count == 1)
        let bare = try model([("embed_tokens.weight", 1), ("layers.0.x.weight", 2), ("lm_head.weight", 1)])
        #expect(bare.checkpoint.description(of: "model.layers.0.x.weight") != nil)
        #expect(bare.checkpoint.description(of: "lm_head.weight") != nil)
        // Two models in one: which is meant is not for the program to say.
        let two = try model([("a.\(Self.embedding)", 1), ("b.\(Self.embedding)", 1)])
        #expect(two.remarks.isEmpty && two.checkpoint.description(of: Self.embedding) == nil)
    }

    @Test func adaptersAreAnsweredWithWhatToDo() {
        let error = #expect(throws: CheckpointError.self) {
            try model([("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 1)])
        }
        #expect(error?.description.contains("merge_and_unload()") == true)
    }

    /// Only the size is known of these; the weights beside them are read.
    @Test(arguments: [
        ("I8", 8, 8), ("U16", 4, 8), ("U64", 1, 8), ("F8_E4M3", 8, 8), ("F8_E8M0", 8, 8), ("F4", 16, 8),
        ("F6_E2M3", 32, 24), ("C64", 1, 8), ("I16", 0, 0),
    ])
    func otherTypesBesideTheWeights(type: String, count: Int, bytes: Int) throws {
        let header = """
            {"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
            "x":{"dtype":"\(type)","shape":[\(count)],"data_offsets":[4,\(4 + bytes)]}}
            """
        let file = try SafetensorsCheckpoint(
            contents: safetensors(header, data: [0, 0, 128, 63] + [UInt8](repeating: 0, count: bytes)), path: "test")
        #expect(try file.load("w").array(Float.self) == [1])
        let error = #expect(throws: CheckpointError.self) { try file.load("x") }
        #expect(error?.description.contains("save the model with weights in bfloat16 first") == true)
    }

    @Test func theIndexDecides() throws {
        let folder = try TemporaryFolder()
        func shard(_ name: String) -> [UInt8] {
            safetensors(
                #"{"extra":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
                    + #""\#(name)":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, data: [1, 2])
        }
        try folder.write("a", shard("x"))
        try folder.write("b", shard("y"))
        try folder.write("model.safetensors.index.json", #"{"weight_map":{"x":"a","y":"b","extra":"b"}}"#)
        let checkpoint = try SafetensorsCheckpoint(path: folder.path)
        #expect(checkpoint.tensors.map(\.name).sorted() == ["extra", "x", "y"])
        #expect(checkpoint.description(of: "extra")?.file.hasSuffix("/b") == true)
    }

    // MARK: GGUF

    /// Values of `gguf.quants.dequantize` (gguf 0.19.0) for bytes (37i + 11) mod 256 after a scale of 0x2E66.
    @Test(
        arguments: [
            (
                UInt32(20), 18, [-3.4991455078125, 2.4993896484375, 11.2972412109375, -4.8988037109375],
                -25.6937255859375
            ),
            (23, 136, [6.4984130859375, -0.0999755859375, -6.8983154296875, 8.2979736328125], -1100.2313232421875),
        ] as [(UInt32, Int, [Float], Double)])
    func nibblesOfTables(type: UInt32, size: Int, first: [Float], sum: Double) throws {
        var builder = GGUFBuilder()
        builder.add(tensor: "x", [size == 18 ? 32 : 256], type: type)
        builder.data = [0x66, 0x2E] + (2..<size).map { UInt8(truncatingIfNeeded: $0 * 37 + 11) }
        let values = try builder.open().load("x").array(Float.self)
        #expect(Array(values.prefix(4)) == first && values.reduce(0) { $0 + Double($1) } == sum)
    }

    @Test func splitFiles() throws {
        let folder = try TemporaryFolder()
        for part in 0..<2 {
            var builder = GGUFBuilder()
            if part == 0 { builder.add("general.name", "whole") }
            builder.add("split.no", UInt32(part))
            builder.add("split.count", 2)
            builder.add(tensor: "t\(part)", [1])
            builder.data = littleEndian(Float(part + 1).bitPattern)
            try folder.write("m-0000\(part + 1)-of-00002.gguf", builder.bytes)
        }
        for part in 1...2 {
            let file = try GGUFCheckpoint(path: "\(folder.path)/m-0000\(part)-of-00002.gguf")
            #expect(try file.metadata.string("general.name") == "whole")
            #expect(try (0..<2).map { try file.load("t\($0)").array(Float.self) } == [[1], [2]])
        }
        try FileManager.default.removeItem(atPath: "\(folder.path)/m-00002-of-00002.gguf")
        let missing = #expect(throws: CheckpointError.self) {
            try GGUFCheckpoint(path: "\(folder.path)/m-00001-of-00002.gguf")
        }
        #expect(missing?.description.contains("m-00002-of-00002.gguf: cannot be read") == true)
        try FileManager.default.moveItem(
            atPath: "\(folder.path)/m-00001-of-00002.gguf", toPath: "\(folder.path)/first.gguf")
        let renamed = #expect(throws: CheckpointError.self) { try GGUFCheckpoint(path: "\(folder.path)/first.gguf") }
        #expect(renamed?.description.contains("expected NAME-00002-of-00002.gguf, as parts have it") == true)
    }
}
