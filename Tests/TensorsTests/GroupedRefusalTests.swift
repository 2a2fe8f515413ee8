import Tensors
import Testing

@Suite struct GroupedRefusalTests {
    private static let quantised = [DType.q8, .q4]

    @Test func byteCountsFollowTheLayout() {
        #expect(DType.q4.byteCount(of: [16, 64]) == 64 + 64 + 2 * 256)
        #expect(DType.q4.byteCount(of: [17, 32]) == 2 * (64 + 64 + 256))
        #expect(DType.q8.byteCount(of: [16, 96]) == 2 * 64 + 3 * 512)
        #expect(DType.q8.byteCount(of: [0, 32]) == 0)
        #expect(DType.bfloat16.byteCount(of: [3, 5]) == 30)
    }

    @Test(arguments: quantised)
    func shapesThatAreNotWeights(_ dtype: DType) {
        for shape in [[], [32], [4, 31], [4, 0], [2, 4, 32], [-1, 32], [4, -32], [.max, 32], [1 << 40, 1 << 40]] {
            #expect(dtype.byteCount(of: shape) == nil, "\(shape)")
            #expect(throws: TensorError.self, "\(shape)") { try Tensor.empty(shape, dtype) }
        }
        #expect(
            throws: TensorError.shape(
                operation: "Tensor", argument: "shape",
                expected:
                    "[outputs, inputs] of \(dtype.rawValue), inputs a multiple of 32, with extents that memory can hold",
                found: [4, 31])
        ) {
            try Tensor.empty([4, 31], dtype)
        }
    }

    @Test(arguments: quantised)
    func operationsThatCannotReadThem(_ dtype: DType) throws {
        let weight = try Tensor.zeros([16, 32], dtype), x = try Tensor.zeros([2, 32])
        func refused(_ body: () throws -> Void) {
            #expect {
                try body()
            } throws: { error in
                guard case TensorError.dtype(_, _, _, let found)? = error as? TensorError else { return false }
                return found == dtype
            }
        }
        refused { _ = try weight.reshaped([32, 16]) }
        refused { _ = try weight.rows(0..<16) }
        refused { _ = try weight.array(UInt8.self) }
        refused { _ = try weight.array(Float.self) }
        refused { _ = try weight.adding(weight) }
        refused { _ = try weight.activated(.silu) }
        refused { _ = try weight.linear(x) }
        refused { _ = try x.converted(to: dtype) }
        refused { _ = try x.crossEntropy(head: weight, targets: [0, 1], scale: 1) }
        refused { _ = try x.klDivergence(head: x, teacher: x, teacherHead: weight, scale: 1) }
        #expect(throws: TensorError.self) { try weight.converted(to: .int32) }
        #expect(throws: TensorError.self) { try Tensor.zeros([2, 64]).linear(weight) }
    }

    @Test(arguments: quantised)
    func gradientsDoNotGoThroughThem(_ dtype: DType) throws {
        let weight = try Tensor.zeros([16, 32], dtype), x = try Tensor.zeros([2, 32])
        let tape = GradientTape()
        #expect(throws: TensorError.self) { try tape.watch(x).linear(weight) }
        #expect(throws: TensorError.self) { try x.linear(tape.watch(weight)) }
        #expect(throws: TensorError.self) { try Tensor.embedding([1], table: tape.watch(weight)) }
        #expect(throws: Never.self) { try x.linear(weight) }
        #expect(tape.count == 0)
    }

    @Test(arguments: quantised)
    func borrowedBytesAreReadInPlace(_ dtype: DType) throws {
        var random = Random(29)
        let weight = try GroupedWeight(dtype, outputs: 20, inputs: 96, random: &random)
        try weight.tensor.withUnsafeBytes { bytes in
            let borrowed = try Tensor(borrowing: bytes, shape: [20, 96], dtype: dtype, owner: weight.tensor)
            #expect(borrowed.byteCount == bytes.count)
            #expect(try borrowed.converted(to: .float32).array() == weight.values)
            #expect(throws: TensorError.self) {
                try Tensor(borrowing: bytes, shape: [40, 96], dtype: dtype, owner: weight.tensor)
            }
        }
    }
}
