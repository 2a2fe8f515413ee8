import Generation
import Support
import Testing

@Suite("Constraints: cost")
struct ConstraintCostTests {
    private static let schema: JSONValue = [
        "type": "object",
        "properties": [
            "name": ["type": "string"], "note": ["type": "string", "maxLength": 60],
            "kind": ["enum": ["cat", "dog", "cattle"]], "weight": ["type": "number", "minimum": 0],
            "tags": ["type": "array", "items": ["type": "string", "maxLength": 20], "maxItems": 5],
            "more": ["type": "object"],
        ], "required": ["name", "note", "kind", "weight", "tags", "more"],
    ]

    /// Prints what a mask costs: the first texts fill the tables, the others find most there.
    @Test("a mask costs a fraction of a millisecond", arguments: [49_152, 128_256])
    func masks(_ size: Int) throws {
        let clock = ContinuousClock()
        let tokenizer = try structuralTokenizer(size: size - 1)
        var vocabulary: ConstraintVocabulary?
        let reading = clock.measure { vocabulary = ConstraintVocabulary(tokenizer) }
        let words = try #require(vocabulary)
        #expect(words.size == size)
        let start = clock.now
        let constraint = try TokenConstraint(.schema(Self.schema), vocabulary: words)
        let compiling = start.duration(to: clock.now)
        var generator = SplitMix64(seed: 9)
        var times: [(first: [Duration], later: [Duration])] = [([], [])]
        for text in 0..<12 {
            var state = try constraint.start()
            for step in 0..<400 where !state.isFinished {
                var mask = TokenMask(vocabularySize: 0)
                let time = try clock.measure { mask = try state.mask(stops: []) }
                if text < 4 { times[0].first.append(time) } else { times[0].later.append(time) }
                let tokens = mask.tokens
                // What closes something, more and more often.
                let closing = tokens.filter { token in
                    tokenizer.bytes(of: token).contains { [0x22, 0x7D, 0x5D].contains($0) }
                }
                let closes = !closing.isEmpty && UInt64.random(in: 0..<40, using: &generator) < UInt64(step / 10 + 1)
                let token = (closes ? closing : tokens).randomElement(using: &generator)
                try state.advance(try #require(token))
            }
        }
        func milliseconds(_ time: Duration) -> Double { (1000 * (time / .milliseconds(1))).rounded() / 1000 }
        for (name, times) in [("first 4 texts", times[0].first), ("8 others", times[0].later)] {
            let sorted = times.sorted()
            let (median, worst) = (milliseconds(sorted[sorted.count / 2]), milliseconds(sorted[sorted.count - 1]))
            print("\(size) tokens, \(name), \(sorted.count) masks: median \(median) ms, longest \(worst) ms")
            #expect(median < 2)
        }
        print("\(size) tokens: vocabulary \(milliseconds(reading)) ms, schema \(milliseconds(compiling)) ms")
    }
}
