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
    /// The number of elements that the program is run for.
    let count: Int
    let inputs: [(tensor: Tensor, broadcast: Broadcast)]
    /// One for each of the program's results.
    let results: [Result]

    /// - Throws: ``TensorError/shape(operation:argument:expected:found:)`` for an input or a result that does not go along with
    ///   `shape`.
    init(
        _ operation: String, _ program: PointwiseProgram, of shape: [Int], _ inputs: [(name: String, tensor: Tensor)],
        results: [(shape: [Int], type: DType)]
    ) throws {
        func broadcast(_ name: String, _ found: [Int]) throws -> Broadcast {
            if let broadcast = Broadcast(found, in: shape) { return broadcast }
            throw TensorError.shape(
                operation: operation, argument: name,
                expected: "the last extents of \(shape), or the first of them and then ones", found: found)
        }
        self.program = program
        count = shape.reduce(1, *)
        self.inputs = try inputs.map { ($0.tensor, try broadcast($0.name, $0.tensor.shape)) }
        self.results = try results.map {
            Result(shape: $0.shape, type: $0.type, broadcast: try broadcast("result", $0.shape))
        }
    }

    /// The results, of which those that are an input as it stands are that input.
    func run(on backend: any Backend) throws -> [Tensor] {
        if results.count == 1, let same = unchanged(0) { return [same] }
        // One value that is asked for twice in the same form is computed once.
        var distinct: [Int] = []
        let places = results.indices.map { index -> Int in
            if let place = distinct.firstIndex(where: {
                program.results[$0] == program.results[index] && results[$0].shape == results[index].shape
                    && results[$0].type == results[index].type
            }) {
                return place
            }
            distinct.append(index)
            return distinct.count - 1
        }
        let computed = distinct.filter { unchanged($0) == nil }
        let found = try computed.isEmpty ? [] : backend.pointwise(picking(computed))
        let tensors = distinct.map { index in unchanged(index) ?? found[computed.firstIndex(of: index) ?? 0] }
        return places.map { tensors[$0] }
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
        PointwiseCall(self, program: program.asking(for: indices), results: indices.map { results[$0] })
    }

    private init(_ call: PointwiseCall, program: PointwiseProgram, results: [Result]) {
        (self.program, count, inputs, self.results) = (program, call.count, call.inputs, results)
    }
}

extension PointwiseProgram {
    /// The same program, of whose results those at `indices` are asked for.
    func asking(for indices: [Int]) -> PointwiseProgram {
        var program = self
        program.ask(for: indices.map { results[$0] })
        return program
    }
}
