import Foundation
import Models
import Tensors
import Testing

@Suite("Initialisers")
struct InitialiserTests {
    @Test("slots forget at the half-lives asked for")
    func halfLives() throws {
        let initialiser = Initialiser.halfLives(slots: 16, shortest: 2, longest: 4096, divisor: 8)
        let bias = try initialiser.make(name: "b", shape: [3 * 16], seed: 1).array()
        for (index, value) in bias.enumerated() {
            // The gate at x = 0 is sigmoid(b)^(1/8); after h tokens a half is left.
            let logGate = -log1p(exp(-Double(value))) / 8
            let halfLife = -log(2) / logGate
            let wanted = 2 * pow(2048, Double(index % 16) / 15)
            #expect(abs(halfLife / wanted - 1) < 1e-4)
        }
    }

    @Test("a map's outputs are as strong in every model, whatever its input is")
    func map() throws {
        let map = Initialiser.map(outputs: 0.08, norm: "norm.weight")
        for (width, input) in [(64, 0.3), (400, 26)] {
            let values = try map.make(name: "w", shape: [100, width], seed: 7, input: input)
            let outputs = try values.rootMeanSquare() * Double(width).squareRoot() * input
            #expect(abs(outputs / 0.08 - 1) < 0.03)
        }
        let zero = Initialiser.map(outputs: 0, norm: nil)
        #expect(try zero.make(name: "w", shape: [3, 5], seed: 7).array() == [Float](repeating: 0, count: 15))
        // A norm of nothing, or of no numbers, makes no infinite weights.
        for input in [0, Double.nan, .infinity] {
            #expect(
                try map.make(name: "w", shape: [3, 5], seed: 7, input: input).array().allSatisfy(\.isFinite))
        }
    }

    @Test("normal values have the moments asked for and depend on seed and name alone")
    func normal() throws {
        let initialiser = Initialiser.normal(standardDeviation: 0.02)
        let values = try initialiser.make(name: "w", shape: [200, 500], seed: 7).array()
        let mean = values.reduce(0) { $0 + Double($1) } / 1e5
        let variance = values.reduce(0) { $0 + pow(Double($1) - mean, 2) } / 1e5
        let kurtosis = values.reduce(0) { $0 + pow(Double($1) - mean, 4) } / 1e5 / (variance * variance)
        #expect(abs(mean) < 3 * 0.02 / 316)
        #expect(abs(variance.squareRoot() / 0.02 - 1) < 0.01)
        #expect(abs(kurtosis - 3) < 0.1)
        #expect(try initialiser.make(name: "w", shape: [200, 500], seed: 7).array() == values)
        #expect(try initialiser.make(name: "v", shape: [200, 500], seed: 7).array() != values)
        #expect(try initialiser.make(name: "w", shape: [200, 500], seed: 8).array() != values)
    }
}
