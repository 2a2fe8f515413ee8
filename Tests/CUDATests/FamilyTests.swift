import Models
import Tensors
import TestSupport
import Testing

extension CUDATests {
    @Suite("Source families on a GPU") struct FamilyTests {
        private func comparison(_ name: String) throws -> ModelComparison {
            let folder = try TemporaryFolder(inMemory: true)
            try FamilyShape(name).write(to: folder.path)
            return try ModelComparison(folder.path)
        }

        @Test("have the processor's hidden states", arguments: FamilyShape.names)
        func hidden(_ name: String) throws { try comparison(name).expectHiddenStates(length: 60) }

        @Test(
            "have the processor's gradients, and the same bits when layers are computed again",
            arguments: FamilyShape.names)
        func gradients(_ name: String) throws { try comparison(name).expectGradients() }

        @Test(
            "read on from a state, in pieces and by recorded steps",
            // Whose positions change for a whole text once that is long.
            arguments: FamilyShape.names.filter { $0 != "phi3-longrope" })
        func decoding(_ name: String) throws { try comparison(name).expectDecoding() }

        @Test("sequences of one model with learned positions end where those end, and stay as they were")
        func learnedPositions() throws {
            let comparison = try comparison("gpt2")
            let (cpu, cuda) = try comparison.models()
            let tokens = comparison.tokens(3, 64)
            let step = try Together(cuda, reading: tokens.map { Array($0[..<61]) })
            for position in 61..<64 { try step.read(tokens.map { $0[position] }) }
            for (row, tokens) in tokens.enumerated() {
                let expected = try cpu.logits([tokens]).reshaped([64, 64]).rows(63..<64)
                try expectClose(step.logits().rows(row..<row + 1), expected, 0.03, "row \(row)")
            }
            let error = #expect(throws: ModelError.self) { try step.read([1, 2, 3]) }
            #expect(error?.description.contains("at most 64 tokens") == true && step.states[0].position == 64)
        }
    }
}
