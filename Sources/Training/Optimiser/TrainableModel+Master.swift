import Tensors

extension TrainableModel {
    /// A trained parameter. A class, so that the optimiser changes its tensors in place.
    ///
    /// Ranks share what is beside the weights of matrices (ZeRO, Rajbhandari et al. 2020, arXiv 1910.02054): each keeps a part of the
    /// master and of the means, has the sums of that part's gradient alone, and hands out the part of the weight that it has updated.
    final class Master {
        /// Extents of the parameter.
        let shape: [Int]
        /// The elements whose master this rank keeps; nil for all.
        let part: Range<Int>?
        /// float32: the parameter, or (n / R) elements of it.
        var value: Tensor
        /// What products read, all of it; nil where that is `value`.
        var copy: Tensor?
        /// The gradient of the step in hand arrives here.
        var variable: Variable?
        /// AdamW's running means of the gradient and of its square, as much as of `value`; nil outside of the stage that trains the
        /// parameter.
        var first: Tensor?
        var second: Tensor?
        /// Where the value lies, and with it the means.
        let memory: MemoryKind
        /// Where the sum of this rank's part of the gradient arrives, the same in all steps of a stage.
        private var sum: Tensor?

        init(shape: [Int], part: Range<Int>?, value: Tensor, copy: Tensor?) {
            (self.shape, self.part, self.value, self.copy, memory) = (shape, part, value, copy, value.memory)
        }

        /// What products read.
        var weight: Tensor { copy ?? value }

        /// Hands the tensors to the optimiser, as their only owner, so that it changes them in place.
        /// - Parameter counts: whether the gradient counts in this rank's norm where others have it too.
        func lend(gradient: Tensor, rateScale: Float, weightDecay: Float, counts: Bool) throws -> AdamWParameter {
            guard let first, let second else {
                throw TensorError.range(
                    operation: "AdamW", argument: "means", expected: "those of the stage", found: "none")
            }
            // A GPU writes its part of the weight where it stands; on the host it is made from the master.
            let target = try part == nil ? copy : weight.device.traits.recordsWork ? weight.part(part) : nil
            defer {
                value = Self.nothing
                (self.first, self.second) = (nil, nil)
                if part == nil { copy = nil }
            }
            return AdamWParameter(
                value: value, gradient: gradient, first: first, second: second, copy: target, rateScale: rateScale,
                weightDecay: shape.count > 1 ? weightDecay : 0, counts: counts || part != nil)
        }

        func takeBack(_ parameter: AdamWParameter) {
            (value, first, second) = (parameter.value, parameter.first, parameter.second)
            if part == nil { copy = parameter.copy }
        }

        /// Begins a stage that trains the parameter.
        func begin() throws {
            first = try .zeros(value.shape, on: value.device, in: memory)
            second = try .zeros(value.shape, on: value.device, in: memory)
        }

        /// Ends it.
        func end() { (first, second, variable, sum) = (nil, nil, nil, nil) }

        /// Memory for a part, float32.
        func emptyPart() throws -> Tensor { try .empty([part?.count ?? 0], on: weight.device) }

        /// That of the sum of a step's gradients, for recorded work to find it there again.
        func gradientPart() throws -> Tensor {
            let place = try sum ?? emptyPart()
            sum = place
            return place
        }

        /// This rank's part of the weight after a step of the optimiser.
        func updatedPart() throws -> Tensor {
            try weight.device.traits.recordsWork ? weight.part(part) : value.converted(to: weight.dtype)
        }

        /// Stands where a value is lent out.
        private static let nothing: Tensor = {
            do { return try .empty([0]) } catch { preconditionFailure("no memory at all: \(error)") }
        }()
    }
}

extension Tensor {
    /// Some of the elements, in a row; nil for the tensor itself. On a GPU in the same memory, on the processor in their own, so that the
    /// rest is not held.
    func part(_ range: Range<Int>?) throws -> Tensor {
        guard let range else { return self }
        let part = try reshaped([count]).rows(range)
        guard part.device == .cpu else { return part }
        return try part.withUnsafeBytes { bytes in try Tensor(part.shape, dtype) { $0.copyMemory(from: bytes) } }
    }
}
