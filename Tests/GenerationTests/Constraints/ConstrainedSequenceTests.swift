import Foundation
import Generation
import Models
import Support
import TestSupport
import Testing
import Tokenizers

@Suite("Constraints: sequences")
struct ConstrainedSequenceTests {
    private static let schema: JSONValue = [
        "type": "object",
        "properties": [
            "n": ["type": "integer", "minimum": 0, "maximum": 99],
            "list": ["type": "array", "items": ["enum": ["ab", "abc", "b"]], "minItems": 1, "maxItems": 3],
        ], "required": ["n", "list"],
    ]

    private func constraint(_ tokenizer: Tokenizer) throws -> TokenConstraint {
        try TokenConstraint(.schema(Self.schema), vocabulary: ConstraintVocabulary(tokenizer))
    }

    @Test("sessions and schedulers write the same, and it is valid", arguments: [Float(0), 1])
    func models(_ temperature: Float) async throws {
        let (model, tokenizer) = (try tinyModel("moult-gsa-window"), try asciiTokenizer(pieces: true))
        let constraint = try constraint(tokenizer)
        let validator = SchemaValidator(document: Self.schema)
        let prompt: [Int32] = [5, 9, 2]
        let stops: Set<Int32> = [97]
        let scheduler = try Scheduler(model, tokenizer: tokenizer, options: SchedulerOptions())
        let samplers = try (0..<6).map { try Sampler(temperature: temperature, seed: UInt64($0)) }
        var request = SequenceRequest(prompt: prompt, samplers: samplers, limit: 400, strings: try StopStrings())
        (request.constraint, request.stops, request.alternatives) = (try SequenceConstraint(constraint), stops, 1)
        var texts = [String](repeating: "", count: samplers.count)
        for try await event in try scheduler.submit(request) {
            switch event {
            case .token(let choice, _, let text, _): texts[choice] += text
            case .finished(let choice, let ending, let text):
                texts[choice] += text
                #expect(ending.reason == .complete)
            default: break
            }
        }
        for (text, sampler) in zip(texts, samplers) {
            #expect(validator.isValid(try parsed(text)), "\(text)")
            let session = try GenerationSession(model)
            try session.read(prompt)
            var (sampler, alone) = (sampler, "")
            let result = try session.continueText(
                limit: 400, sampler: &sampler, tokenizer: tokenizer, stops: stops, strings: StopStrings(),
                constraint: constraint
            ) {
                alone += $0
                return true
            }
            #expect(alone == text)
            #expect(result.end == .complete)
        }
        if temperature > 0 { #expect(Set(texts).count > 1) }
    }

    @Test func aTextThatMayGoOnEndsByItsToken() throws {
        let (model, tokenizer) = (try tinyModel("moult-gsa-window"), try asciiTokenizer(pieces: true))
        let number = try TokenConstraint(
            .schema(["type": "integer"]), vocabulary: ConstraintVocabulary(tokenizer))
        for seed in UInt64(0)..<30 {
            let session = try GenerationSession(model)
            try session.read([1])
            var (sampler, text) = (try Sampler(temperature: 1, seed: seed), "")
            let result = try session.continueText(
                limit: 50, sampler: &sampler, tokenizer: tokenizer, stops: [97], strings: StopStrings(),
                constraint: number
            ) {
                text += $0
                return true
            }
            #expect(Int(text) != nil, "\(text)")
            #expect(result.end == .stopToken || result.end == .complete && text.count >= 15)
        }
    }

    @Test func theEndIsMaskedUntilTheTextIsComplete() throws {
        let tokenizer = try structuralTokenizer()
        let end = try #require(tokenizer.eosToken)
        var state = try TokenConstraint(.schema(["type": "number"]), vocabulary: ConstraintVocabulary(tokenizer))
            .start()
        for (byte, isComplete) in zip("-1.5e1".utf8, [false, true, false, true, false, true]) {
            #expect(try state.advance(Int32(byte)))
            #expect(state.isComplete == isComplete)
            #expect(try state.mask(stops: [end])[end] == isComplete)
        }
        // A refused token leaves the state as it was.
        #expect(try !state.advance(0x78))
        #expect(try !state.advance(end))
        #expect(try !state.advance(-1))
        #expect(state.isComplete)
    }

    @Test("tokens that the vocabulary lacks")
    func deadEnd() throws {
        // Capital letters and nothing else.
        let json: JSONValue = ["const": "{é}"]
        let tokenizer = try asciiTokenizer()
        #expect(throws: ConstraintError.deadEnd) {
            var state = try TokenConstraint(.schema(json), vocabulary: ConstraintVocabulary(tokenizer)).start()
            while !state.isFinished {
                let token = try #require(try state.mask(stops: []).tokens.first)
                try state.advance(token)
            }
        }
    }

    @Test func masksAreThoseOfTokensThatCanBeAdvancedBy() throws {
        let tokenizer = try structuralTokenizer()
        let vocabulary = ConstraintVocabulary(tokenizer)
        let schema: JSONValue = [
            "type": "object",
            "properties": [
                "name": ["type": "string", "maxLength": 7], "kind": ["enum": ["cat", "cattle"]],
                "value": ["anyOf": [["type": "string"], ["type": "number"], ["type": "array"]]],
            ], "additionalProperties": ["type": "boolean"],
        ]
        let constraint = try TokenConstraint(.schema(schema), vocabulary: vocabulary)
        var generator = SplitMix64(seed: 5)
        for _ in 0..<12 {
            var state = try constraint.start()
            for _ in 0..<60 where !state.isFinished {
                let mask = try state.mask()
                var allowed: [Int32] = []
                for token in 0..<Int32(tokenizer.vocabularySize) {
                    var next = state
                    let follows = try next.advance(token)
                    #expect(mask[token] == follows, "token \(token)")
                    if follows { allowed.append(token) }
                }
                #expect(mask.count == allowed.count && mask.tokens == allowed)
                try state.advance(try #require(allowed.randomElement(using: &generator)))
            }
        }
    }

    @Test func tablesThatAreFullAreBegunAnew() throws {
        let vocabulary = ConstraintVocabulary(try structuralTokenizer())
        let constraint = try TokenConstraint(
            .schema([
                "type": "array", "items": ["type": "string", "minLength": 60_000, "maxLength": 60_001], "minItems": 2,
            ]),
            vocabulary: vocabulary)
        var state = try constraint.start()
        #expect(try state.advance(0x5B))
        for item in 0..<2 {
            if item > 0 { #expect(try state.advance(0x2C)) }
            #expect(try state.advance(0x22))
            for place in 0..<60_000 {
                let follows = try state.advance(0x61)
                try #require(follows, "character \(place) of item \(item)")
            }
            let mask = try state.mask()
            #expect(mask[0x61] && mask[0x22])
            #expect(try state.advance(0x61))
            #expect(try !state.advance(0x61))
            #expect(try state.advance(0x22))
        }
        #expect(!state.isComplete)
        #expect(try state.advance(0x5D))
        #expect(state.isFinished)
    }

    @Test func samplersPickAmongTheMaskAlone() throws {
        let logits: [Float] = (0..<200).map { Float($0 % 7) }
        var mask = TokenMask(vocabularySize: 190)
        for token in [3, 50, 189] as [Int32] { mask[token] = true }
        mask[500] = true
        #expect(mask.tokens == [3, 50, 189] && mask.count == 3)
        for (temperature, topK, topP) in [(Float(0), nil, Float(1)), (1, nil, 1), (1, 2, 1), (5, 40, 0.5)]
            as [(Float, Int?, Float)]
        {
            var sampler = try Sampler(temperature: temperature, topK: topK, topP: topP, seed: 1)
            for _ in 0..<200 {
                let token = try logits.withUnsafeBufferPointer { try sampler.sample($0, among: mask) }
                #expect(mask[token])
            }
        }
        var sampler = try Sampler(temperature: 0)
        #expect(try logits.withUnsafeBufferPointer { try sampler.sample($0, among: mask) } == 3)
        var damaged = logits
        damaged[7] = .nan
        #expect(throws: GenerationError.nonFiniteLogits) {
            try damaged.withUnsafeBufferPointer { try sampler.sample($0, among: mask) }
        }
        #expect(throws: ConstraintError.deadEnd) {
            try logits.withUnsafeBufferPointer { try sampler.sample($0, among: TokenMask(vocabularySize: 5)) }
        }
    }
}
