import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

@Suite("Stacks of experts in files")
struct StackedTensorTests {
    @Test("one of a stack is that part of the whole, in every format", arguments: [nil, DType.float32, .bfloat16])
    func numbers(_ dtype: DType?) throws {
        let checkpoints: [any Checkpoint] = [
            try GGUFCheckpoint(path: fixture("quantised.gguf")), try SafetensorsCheckpoint(path: fixture("llama")),
        ]
        var count = 0
        for checkpoint in checkpoints {
            for tensor in checkpoint.tensors where tensor.shape.count > 1 {
                let whole = try checkpoint.load(tensor.name, as: dtype)
                for number in [0, tensor.shape[0] - 1] {
                    let part = try checkpoint.load(tensor.name, number: number, as: dtype)
                    #expect(part.shape == Array(tensor.shape.dropFirst()) && part.dtype == whole.dtype)
                    let expected = try whole.rows(number..<number + 1).reshaped(part.shape)
                    #expect(try part.isIdentical(to: expected), "\(tensor.name)")
                    count += 1
                }
                #expect(throws: CheckpointError.self) {
                    try checkpoint.load(tensor.name, number: tensor.shape[0], as: dtype)
                }
            }
        }
        #expect(count > 40)
        #expect(throws: CheckpointError.self) {
            try checkpoints[1].load("model.norm.weight", number: 0, as: nil)
        }
    }

    /// A file of 3 experts, of which `add` adds the tensors.
    private func open(_ folder: TemporaryFolder, _ add: (inout GGUFBuilder) -> Void) throws -> ModelFiles {
        var builder = GGUFBuilder()
        builder.add("general.architecture", "llama")
        for (key, value) in [
            ("block_count", 1), ("context_length", 64), ("embedding_length", 32), ("feed_forward_length", 2),
            ("attention.head_count", 2), ("expert_count", 3), ("expert_used_count", 2),
        ] as [(String, UInt32)] {
            builder.add("llama." + key, value)
        }
        builder.add("llama.attention.layer_norm_rms_epsilon", type: .float32, littleEndian(Float(1e-5).bitPattern))
        builder.add(tensor: "token_embd.weight", [32, 4])
        builder.data = [UInt8](repeating: 0, count: 2048)
        add(&builder)
        return try ModelFiles.open(folder.write("model.gguf", builder.bytes))
    }

    @Test("GGUF stacks of blocks are taken apart, each expert with the bytes that it has in the file")
    func gguf() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let q40: UInt32 = 2
        let files = try open(folder) {
            $0.add(tensor: "blk.0.ffn_gate_inp.weight", [32, 3], offset: 512)
            $0.add(tensor: "blk.0.ffn_gate_exps.weight", [32, 2, 3], type: q40, offset: 1024)
        }
        #expect(files.checkpoint.description(of: "model.layers.0.mlp.gate.weight")?.shape == [3, 32])
        for expert in 0..<3 {
            let tensor = files.checkpoint.description(of: "model.layers.0.mlp.experts.\(expert).gate_proj.weight")
            // 18 bytes for 32 weights.
            #expect(tensor?.shape == [2, 32] && tensor?.byteCount == 36 && tensor?.format.rawValue == "Q4_0")
        }
        #expect(files.checkpoint.tensors.count == 5)
    }

    @Test("older GGUF files have a tensor for each expert")
    func older() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let files = try open(folder) {
            $0.add(tensor: "blk.0.ffn_gate.2.weight", [32, 2], offset: 512)
            $0.add(tensor: "blk.0.ffn_down.0.weight", [2, 32], offset: 768)
            $0.add(tensor: "blk.0.ffn_up.01.weight", [32, 2], offset: 1024)
        }
        #expect(
            files.checkpoint.tensors.map(\.name) == [
                "model.embed_tokens.weight", "model.layers.0.mlp.experts.2.gate_proj.weight",
                "model.layers.0.mlp.experts.0.down_proj.weight", "blk.0.ffn_up.01.weight",
            ])
    }

    @Test("a stack that says it has more tensors than files hold stays whole")
    func tooMany() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let files = try open(folder) {
            $0.add(tensor: "blk.0.ffn_up_exps.weight", [32, 0, 1 << 30], offset: 512)
        }
        #expect(files.checkpoint.tensors.map(\.name).last == "model.layers.0.mlp.experts.up_proj.weight")
    }
}
