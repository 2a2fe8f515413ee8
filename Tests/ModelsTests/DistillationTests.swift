import Foundation
import Models
import Tensors
import Testing

@Suite("The divergence of a student from its teacher")
struct DistillationTests {
    /// Mean KL(teacher ‖ student) over positions, from logits in float64.
    private func divergence(_ teacher: [Float], _ student: [Float], vocabulary: Int) -> Double {
        func logProbabilities(_ logits: ArraySlice<Float>) -> [Double] {
            let values = logits.map(Double.init)
            let peak = values.max() ?? 0
            let total = log(values.reduce(0) { $0 + exp($1 - peak) }) + peak
            return values.map { $0 - total }
        }
        let sum = stride(from: 0, to: teacher.count, by: vocabulary).reduce(0.0) { sum, start in
            let p = logProbabilities(teacher[start..<start + vocabulary])
            let q = logProbabilities(student[start..<start + vocabulary])
            return zip(p, q).reduce(sum) { $0 + exp($1.0) * ($1.0 - $1.1) }
        }
        return sum / Double(teacher.count / vocabulary)
    }

    @Test("the loss and its slope along its gradient", arguments: ["moult-gsa", "moult-gsa-window", "moult-hybrid"])
    func divergence(_ name: String) throws {
        let fixture = GradientFixture(name: name)
        let teacher = try Fixture(name: "llama-tied").model()
        let tokens = try fixture.fixture.expected().tokens
        let positions = tokens.count * tokens[0].count
        let (configuration, parameters) = try fixture.parameters()
        let vocabulary = configuration.decoder.vocabularySize
        let wanted = try teacher.logits(tokens).array(Float.self)
        func naive(_ model: DecoderModel) throws -> Double {
            divergence(wanted, try model.logits(tokens).array(Float.self), vocabulary: vocabulary)
        }
        let watched = try GradientFixture.Watched(configuration, parameters)
        var loss = 0.0
        let gradients = try watched.gradients { model, _ in
            let losses = try model.hidden(tokens).klDivergence(
                head: model.headWeight, teacher: teacher.hidden(tokens), teacherHead: teacher.headWeight,
                scale: 1 / Float(positions))
            loss = try losses.array(Float.self).reduce(0) { $0 + Double($1) } / Double(positions)
        }
        let expected = try naive(watched.model)
        #expect(expected > 0.1 && abs(loss - expected) < 2e-5 * expected)
        #expect(Set(gradients.keys) == Set(parameters.keys))
        for (name, gradient) in gradients {
            guard let tensor = parameters[name] else { continue }
            let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            // Along the gradient the slope is its norm; a step of 0.02 moves no weight by more than that.
            let step = 0.02
            func moved(_ steps: Double) throws -> Double {
                let values = zip(try tensor.array(Float.self), gradient).map { $0 + Float(steps * step / norm) * $1 }
                var changed = parameters
                changed[name] = try Tensor(values, shape: tensor.shape)
                return try naive(DecoderModel(configuration, parameters: Parameters(changed)))
            }
            let (near, far) = (try moved(1) - moved(-1), try moved(2) - moved(-2))
            let slope = (8 * near - far) / (12 * step)
            #expect(norm > 0 && abs(slope - norm) < 1e-4 + 5e-3 * norm, "\(name): \(norm) and \(slope)")
        }
    }

    @Test func ofAModelFromItself() throws {
        let fixture = GradientFixture(name: "llama-tied")
        let teacher = try fixture.fixture.model()
        let tokens = try fixture.fixture.expected().tokens
        let hidden = try teacher.hidden(tokens)
        let losses = try hidden.klDivergence(
            head: teacher.headWeight, teacher: hidden, teacherHead: teacher.headWeight, scale: 1)
        #expect(try losses.array().allSatisfy { abs($0) < 1e-6 })
    }
}
