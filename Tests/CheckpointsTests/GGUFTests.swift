import Checkpoints
import Tensors
import Testing

@Suite struct GGUFTests {
    @Test func dequantisesAsTheReference() throws {
        let checkpoint = try GGUFCheckpoint(path: fixture("quantised.gguf"))
        let expected = try SafetensorsCheckpoint(path: fixture("quantised.safetensors"))
        #expect(checkpoint.tensors.count == 12)
        for tensor in checkpoint.tensors {
            #expect(tensor.format.rawValue == tensor.name)
            let loaded = try checkpoint.load(tensor.name, as: .float32)
            #expect(try loaded.isIdentical(to: expected.load(tensor.name)), "\(tensor.name)")
        }
    }

    @Test(arguments: [DType.bfloat16, .float16, .float64])
    func convertsQuantisedTensorsThroughFloat32(_ dtype: DType) throws {
        let checkpoint = try GGUFCheckpoint(path: fixture("quantised.gguf"))
        for tensor in checkpoint.tensors where tensor.format.dtype == nil {
            let floats = try checkpoint.load(tensor.name)
            #expect(floats.dtype == .float32)
            let expected = try converted(floats, to: dtype)
            #expect(try checkpoint.load(tensor.name, as: dtype).isIdentical(to: expected), "\(tensor.name)")
        }
    }

    @Test func hasTheSameTensorsAsTheFolderItWasConvertedFrom() throws {
        let checkpoint = try GGUFCheckpoint(path: fixture("llama.gguf"))
        let folder = try SafetensorsCheckpoint(path: fixture("llama"))
        #expect(Set(checkpoint.tensors.map(\.name)) == Set(folder.tensors.map(\.name)))
        for tensor in folder.tensors {
            let loaded = try checkpoint.load(tensor.name)
            #expect(try loaded.isIdentical(to: folder.load(tensor.name)), "\(tensor.name)")
            let rounded = try checkpoint.load(tensor.name, as: .bfloat16)
            #expect(try rounded.isIdentical(to: folder.load(tensor.name, as: .bfloat16)), "\(tensor.name)")
        }
    }

    @Test func hasTheSameConfigurationAsTheFolderItWasConvertedFrom() throws {
        let file = try ModelFiles.open(fixture("llama.gguf")), folder = try ModelFiles.open(fixture("llama"))
        #expect(file.kind == .gguf && folder.kind == .folder)
        var expected = folder.configuration
        expected.json = file.configuration.json
        expected.eosTokens = [2]
        #expect(file.configuration == expected)
        #expect(
            file.configuration.ropeScaling
                == .llama3(
                    factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaximumPositions: 8192))
        #expect(try DecoderConfiguration(json: .object(file.configuration.json), file: "") == file.configuration)
    }

    @Test func readsVersion2() throws {
        var bytes = try fixtureBytes("llama.gguf")
        bytes[4] = 2
        let checkpoint = try GGUFCheckpoint(contents: bytes, path: "v2")
        #expect(checkpoint.tensors.count == 29)
    }

    @Test func exposesTheTokenizer() throws {
        let tokenizer = try GGUFTokenizer(GGUFCheckpoint(path: fixture("llama.gguf")).metadata)
        #expect(tokenizer.model == "gpt2" && tokenizer.pre == "llama-bpe")
        #expect(tokenizer.tokens.count == 96 && tokenizer.tokens[95] == "token95é")
        #expect(tokenizer.tokenTypes.prefix(5) == [3, 3, 3, 3, 1])
        #expect(tokenizer.merges == ["a b", "ab c"] && tokenizer.scores[2] == -2)
        #expect(tokenizer.bosToken == 0 && tokenizer.eosToken == 2 && tokenizer.padToken == 1)
        #expect(tokenizer.unknownToken == nil && tokenizer.addBOS == true && tokenizer.addEOS == nil)
        #expect(tokenizer.addSpacePrefix == nil && tokenizer.chatTemplate == "{{ messages }}")
    }
}
