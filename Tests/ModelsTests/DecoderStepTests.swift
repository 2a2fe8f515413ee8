import Models
import Tensors
import Testing

@Suite("Steps")
struct DecoderStepTests {
    @Test("token by token, from the beginning and after a segment", arguments: Fixture.all)
    func singleSequence(_ fixture: Fixture) throws {
        let (sequence, whole) = try fixture.firstSequence()
        let model = try fixture.model()
        let vocabulary = whole.count / sequence.count
        for start in [0, 19] {
            let state = try model.makeState()
            if start > 0 { _ = try model.logits([Array(sequence.prefix(start))], state: state) }
            let step = try DecoderStep(model)
            var logits: [Float] = []
            for token in sequence.dropFirst(start) {
                try step.read([token], states: [state])
                logits += step.withLogits { Array($0) }
            }
            #expect(state.position == sequence.count)
            #expect(relativeError(logits, Array(whole.dropFirst(start * vocabulary))) < 2e-5, "from \(start)")
        }
    }

    @Test("a segment after steps goes on where they ended", arguments: Fixture.all)
    func segmentAfterSteps(_ fixture: Fixture) throws {
        let (sequence, whole) = try fixture.firstSequence()
        let model = try fixture.model()
        let state = try model.makeState()
        let step = try DecoderStep(model)
        for token in sequence.prefix(23) { try step.read([token], states: [state]) }
        let fork = try state.copy()
        let rest = try model.logits([Array(sequence.dropFirst(23))], state: state).array()
        #expect(relativeError(rest, Array(whole.suffix(rest.count))) < 2e-5)
        // The fork was not disturbed.
        try step.read([sequence[23]], states: [fork])
        let vocabulary = whole.count / sequence.count
        #expect(relativeError(step.withLogits { Array($0) }, Array(rest.prefix(vocabulary))) < 2e-5)
    }

    @Test("sequences of a batch join and leave at any step and do not see each other", arguments: Fixture.all)
    func batch(_ fixture: Fixture) throws {
        let model = try fixture.model()
        let text = try fixture.expected().tokens[0]
        let lengths = [5, 17, 9, 12, 3, 20, 8, 11, 6, 14]
        let sequences = lengths.enumerated().map { index, length in
            (0..<length).map { text[(index * 7 + $0) % text.count] }
        }
        let expected = try sequences.map { try model.logits([$0]).array() }
        let vocabulary = expected[0].count / lengths[0]
        let step = try DecoderStep(model, capacity: 9)
        let states = try sequences.map { _ in try model.makeState() }
        var round = 0
        while true {
            // Sequence i joins in round i; rows change places as others end.
            let running = sequences.indices.filter { round >= $0 && states[$0].position < lengths[$0] }
            if running.isEmpty, round > lengths.count { break }
            round += 1
            guard !running.isEmpty else { continue }
            let rows = Array((round % 2 == 0 ? running : running.reversed()).prefix(step.capacity))
            try step.read(rows.map { sequences[$0][states[$0].position] }, states: rows.map { states[$0] })
            for (row, sequence) in rows.enumerated() {
                let position = states[sequence].position - 1
                let found = step.withLogits(of: row) { Array($0) }
                let wanted = Array(expected[sequence][position * vocabulary..<(position + 1) * vocabulary])
                #expect(relativeError(found, wanted) < 5e-5, "sequence \(sequence) at \(position)")
            }
        }
        #expect(states.map(\.position) == lengths)
    }

    @Test("weights in bfloat16", arguments: Fixture.all)
    func bfloat16(_ fixture: Fixture) throws {
        let (sequence, whole) = try fixture.firstSequence()
        let model = try DecoderModel.load(fixture.path, as: .bfloat16)
        let step = try DecoderStep(model)
        let state = try model.makeState()
        var logits: [Float] = []
        for token in sequence {
            try step.read([token], states: [state])
            logits += step.withLogits { Array($0) }
        }
        // The fixtures' weights are exact in bfloat16 and activations stay float32.
        #expect(relativeError(logits, whole) < 2e-5)
    }

    @Test func refusals() throws {
        let model = try Fixture(name: "moult-gsa-window").model()
        let step = try DecoderStep(model, capacity: 2)
        let state = try model.makeState()
        let vocabulary = Int32(model.configuration.decoder.vocabularySize)
        for tokens: [Int32] in [[], [1, 2, 3], [-1], [vocabulary]] {
            #expect(throws: ModelError.self) { try step.read(tokens, states: tokens.map { _ in state }) }
        }
        #expect(throws: ModelError.self) { try step.read([1, 2], states: [state]) }
        #expect(throws: ModelError.self) { try step.read([1, 2], states: [state, state]) }
        let other = try Fixture(name: "llama-tied").model().makeState()
        #expect(throws: ModelError.self) { try step.read([1], states: [other]) }
        #expect(state.position == 0)
        #expect(throws: TensorError.self) { try DecoderStep(model, capacity: 0) }
    }
}
