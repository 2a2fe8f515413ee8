import Tensors
import Testing

extension CUDATests {
    @Suite("Documents on a GPU") struct DocumentTests {
        @Test("places begin again where documents do, in each row and in recorded work")
        func places() throws {
            #expect(try ([0, 2, 3] as Documents).places(length: 5, on: .cpu).array(Int32.self) == [0, 1, 0, 0, 1])
            let first = try Tensor([0, 0, 2, 2, 0, 1, 1, 1] as [Int32], shape: [2, 4]).to(.cuda)
            let documents = Documents(firstPositions: first)
            #expect(try documents.places(length: 4, on: .cuda).array(Int32.self) == [0, 1, 0, 1, 0, 0, 1, 2])
            var places: Tensor?
            let graph = try Device.cuda.record { places = try documents.places(length: 4, on: .cuda) }
            try first.overwrite([0, 1, 2, 3, 0, 0, 0, 3] as [Int32])
            try graph.run()
            #expect(try places?.array(Int32.self) == [0, 0, 0, 0, 0, 1, 2, 0])
        }
    }
}
