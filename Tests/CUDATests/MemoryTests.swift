import CUDAEmulator
import Tensors
import Testing

extension CUDATests {
    @Suite("Memory of a GPU, and recorded work") struct MemoryTests {
        @Test("more than there is gives an error that says how much was asked for")
        func outOfMemory() throws {
            let all = 8 << 30
            moult_emulated_memory(all - (try #require(try Device.cuda.memoryUse()).available) + (16 << 20))
            defer { moult_emulated_memory(all) }
            let kept = try Tensor.zeros([2 << 20], .uint8, on: .cuda)
            let error = #expect(throws: TensorError.self) { try Tensor.zeros([1 << 30], .uint8, on: .cuda) }
            guard case .outOfDeviceMemory(1 << 30, _, let used, _)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(used >= kept.byteCount)
            // What has been freed in blocks of one size is given back for one of another.
            for bytes in [4 << 20, 6 << 20, 10 << 20] { _ = try Tensor.zeros([bytes], .uint8, on: .cuda) }
        }

        @Test("freed memory is used again")
        func reuse() throws {
            let before = try #require(try Device.cuda.memoryUse()).available
            for _ in 0..<3 { _ = try Tensor.zeros([8 << 20], .uint8, on: .cuda) }
            #expect(try #require(try Device.cuda.memoryUse()).available == before)
            #expect(try #require(try Device.cuda.peakMemory()) >= 8 << 20)
        }

        @Test("recorded work reads its inputs anew, and nobody else is given its memory")
        func recording() throws {
            let shape = [3, 1000]
            let x = try Tensor([Float](repeating: 1, count: 3000), shape: shape).converted(to: .bfloat16).to(.cuda)
            var result: Tensor?
            let graph = try Device.cuda.record {
                // The sums on the way are freed at once, and belong to the recording all the same.
                result = try x.adding(x).adding(x).adding(x)
            }
            let others = try (0..<4).map { _ in try Tensor.zeros(shape, .bfloat16, on: .cuda) }
            for value: Float in [1, -2] {
                try x.overwrite([BFloat16](repeating: BFloat16(value), count: 3000))
                try graph.run()
                #expect(try doubles(#require(result)).allSatisfy { $0 == Double(4 * value) })
                #expect(try others.allSatisfy { try doubles($0).allSatisfy { $0 == 0 } })
            }
        }

        @Test("an error while work is recorded ends the recording")
        func failedRecording() throws {
            struct Failure: Error {}
            #expect(throws: Failure.self) { try Device.cuda.record { throw Failure() } }
            // Reading waits for work that is not done.
            let x = try Tensor.zeros([8], on: .cuda)
            #expect(throws: TensorError.self) { try Device.cuda.record { _ = try x.array(Float.self) } }
            #expect(try x.array(Float.self) == [Float](repeating: 0, count: 8))
        }
    }
}
