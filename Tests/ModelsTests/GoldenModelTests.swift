import Checkpoints
import Foundation
import Models
import Tensors
import Testing

@Suite("Models against their own implementations")
struct GoldenModelTests {
    @Test("whole sequences", arguments: Fixture.all + [.longRope])
    func wholeSequences(_ fixture: Fixture) throws {
        let (tokens, expected) = try fixture.expected()
        let logits = try fixture.model().logits(tokens)
        #expect(logits.shape == [tokens.count, tokens[0].count, expected.count / tokens.count / tokens[0].count])
        #expect(relativeError(try logits.array(), expected) < 2e-5)
    }

    @Test("token by token, in segments, and from a fork", arguments: Fixture.all)
    func segments(_ fixture: Fixture) throws {
        let (sequence, whole) = try fixture.firstSequence()
        let model = try fixture.model()
        for pieces in [
            [Int](repeating: 1, count: sequence.count), [7, 1, 1, 13, 1, sequence.count - 23], [sequence.count - 1, 1],
        ] {
            let state = try model.makeState()
            var logits: [Float] = []
            var position = 0
            for piece in pieces {
                logits += try model.logits([Array(sequence[position..<position + piece])], state: state).array()
                position += piece
            }
            #expect(state.position == sequence.count)
            #expect(relativeError(logits, whole) < 2e-5, "pieces \(pieces)")
        }
        // A fork goes its own way and leaves the original as it was.
        let state = try model.makeState()
        _ = try model.logits([Array(sequence.prefix(20))], state: state)
        let fork = try state.copy()
        for token in sequence.prefix(12).reversed() { _ = try model.logits([[token]], state: fork) }
        let rest = try model.logits([Array(sequence.dropFirst(20))], state: state).array()
        #expect(relativeError(rest, Array(whole.suffix(rest.count))) < 2e-5)
    }

    @Test("packed documents see only themselves", arguments: Fixture.all)
    func documents(_ fixture: Fixture) throws {
        let model = try fixture.model()
        let sequence = try fixture.expected().tokens[0]
        let starts = [0, 1, 11, 12, 29]
        let packed = try model.logits([sequence], documents: Documents(starts)).array()
        var separate: [Float] = []
        for (start, end) in zip(starts, starts.dropFirst() + [sequence.count]) {
            separate += try model.logits([Array(sequence[start..<end])]).array()
        }
        // Positions run on across documents, so that rotary models agree only to rounding.
        #expect(relativeError(packed, separate) < 5e-5)
    }

    @Test("loss without logits", arguments: Fixture.all)
    func negativeLogLikelihood(_ fixture: Fixture) throws {
        let model = try fixture.model()
        let (tokens, expected) = try fixture.expected()
        let losses = try model.negativeLogLikelihood(tokens)
        let vocabulary = model.configuration.decoder.vocabularySize
        let length = tokens[0].count
        var naive: [Float] = []
        for (row, sequence) in tokens.enumerated() {
            for position in 0..<length - 1 {
                let start = (row * length + position) * vocabulary
                let logits = expected[start..<start + vocabulary].map(Double.init)
                let peak = logits.max() ?? 0
                let total = logits.reduce(0) { $0 + exp($1 - peak) }
                naive.append(Float(log(total) + peak - logits[Int(sequence[position + 1])]))
            }
        }
        #expect(relativeError(losses, naive) < 2e-5)
    }

    @Test("bfloat16 weights stay close", arguments: Fixture.all)
    func bfloat16(_ fixture: Fixture) throws {
        let (tokens, expected) = try fixture.expected()
        let model = try DecoderModel.load(fixture.path, as: .bfloat16)
        let logits = try model.logits(tokens).array(Float.self)
        // The fixtures' weights are exact in bfloat16; only rounding of activations, where products are bfloat16, is left.
        guard model.configuration.decoder.experts != nil else {
            #expect(relativeError(logits, expected) < 3e-2)
            return
        }
        // A token whose experts are nearly alike may take another.
        let errors = rowErrors(logits, expected, width: model.configuration.decoder.vocabularySize)
        #expect(errors[errors.count * 9 / 10] < 3e-2, "\(errors)")
    }
}
