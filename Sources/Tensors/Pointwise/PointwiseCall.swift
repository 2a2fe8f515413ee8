/// A ``PointwiseProgram`` with the tensors that it is for: what a backend is asked to compute.
public struct PointwiseCall: Sendable {
    /// A tensor to be made.
    struct Result: Sendable {
        let shape: [Int]
        let type: DType
        /// Elements that share one are summed.
        let broadcast: Broadcast
    }

    let program: PointwiseProgram
    /// That of all inputs together.
    let shape: [Int]
    /// The number of elements that the program is run for.
    let count: Int
    let inputs: [(tensor: Tensor, broadcast: Broadcast)]
    /// One for each of the program's results.
    let results: [Result]

    /// - Parameter broadcasts: how the inputs go along with `shape`.
    /// - Throws: ``TensorError/shape(operation:argument:expected:found:)`` for a result that does not go along with
    /// `shape`.
    init(
        _ operation: String, _ program: PointwiseProgram, of shape: [Int], _ inputs: [Tensor],
        broadcasts: [Broadcast], results: [(shape: [Int], type: DType)]
    ) throws {
        (self.program, self.shape) = (program, shape)
        count = shape.reduce(1, *)
        self.inputs = Array(zip(inputs, broadcasts))
        self.results = try results.map {
            Result(shape: $0.shape, type: $0.type, broadcast: try Broadcast($0.shape, of: shape, operation, "result"))
        }
    }

    /// The results, of which those that are an input as it stands are that input.
    func run(on backend: any Backend) throws -> [Tensor] {
        if results.count == 1 { return try unchanged(0).map { [$0] } ?? backend.pointwise(self) }
        // One value that is asked for twice in the same form is computed once.
        var distinct: [Int] = []
        let places = results.indices.map { index -> Int in
            if let place = distinct.firstIndex(where: { isSame($0, index) }) { return place }
            distinct.append(index)
            return distinct.count - 1
        }
        let computed = distinct.filter { unchanged($0) == nil }
        let found =
            try computed.isEmpty
            ? [] : computed.count == results.count ? backend.pointwise(self) : backend.pointwise(picking(computed))
        let tensors = distinct.map { index in unchanged(index) ?? found[computed.firstIndex(of: index) ?? 0] }
        return places.map { tensors[$0] }
    }

    private func isSame(_ one: Int, _ other: Int) -> Bool {
        program.results[one] == program.results[other] && results[one].type == results[other].type
            && results[one].shape == results[other].shape
    }

    private func unchanged(_ index: Int) -> Tensor? {
        let (value, result) = (program.results[index], results[index])
        guard value < inputs.count, inputs[value].broadcast.isWhole(of: count),
            result.broadcast.isWhole(of: count), inputs[value].tensor.dtype == result.type,
            inputs[value].tensor.shape == result.shape
        else { return nil }
        return inputs[value].tensor.detached
    }

    private func picking(_ indices: [Int]) -> PointwiseCall {
        PointwiseCall(
            self, program: program.asking(for: indices.map { program.results[$0] }),
            results: indices.map { results[$0] })
    }

    private init(_ call: PointwiseCall, program: PointwiseProgram, results: [Result]) {
        (self.program, shape, count) = (program, call.shape, call.count)
        (inputs, self.results) = (call.inputs, results)
    }

    /// The same of other inputs, of which there are `rows` where there were as many as the first extent.
    func of(_ inputs: [Tensor], rows: Int) throws -> PointwiseCall {
        let shape = [rows] + self.shape.dropFirst()
        return try PointwiseCall(
            "pointwise", program, of: shape, inputs,
            broadcasts: inputs.map { try Broadcast($0.shape, of: shape, "pointwise", "input") },
            results: results.map { ([rows] + $0.shape.dropFirst(), $0.type) })
    }
}
