import CUDAEmulator
import Generation
import Models
import Support
import Tensors
import TestSupport
import Testing

extension CUDATests {
    @Suite("Batches on a GPU") struct BatchTests {
        static let kinds: [DecodingTests.Kind] = [
            .slotsWithWindow, .keptHeads, .hybrid, .slidingWindow, .scaledHeads, .ownMixer,
        ]

        /// Sequences come, go, pause, are saved and fork at random; each has the logits that it has alone, to the bit.
        @Test(arguments: kinds) func comeAndGo(_ kind: DecodingTests.Kind) throws {
            let model = try DecodingTests().model(kind).to(.cuda)
            var random = SplitMix64(seed: 17)
            func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
            // Some are beyond what the source was trained on and what windows reach, others grow to there.
            let texts = DecodingTests().sequences(7, 150)
            let (lengths, count) = ([3, 66, 11, 1, 30, 7, 5], 12)
            var expected: [[[Float]]] = []
            for (text, length) in zip(texts, lengths) {
                let alone = try Together(model, reading: [Array(text[..<length])])
                expected.append(
                    try text[length..<length + count].map { token in
                        try alone.read([token])
                        return try alone.logits().array(Float.self)
                    })
            }
            let step = try model.makeStep(capacity: 4)
            var states: [Int: DecoderState] = [:]
            var done = [Int](repeating: 0, count: texts.count)
            // A sequence that is beyond the positions of the source makes others see sinks by another way, which rounds otherwise.
            let tolerance = [.keptHeads, .scaledHeads, .ownMixer].contains(kind) ? 0.02 : 0
            while done.contains(where: { $0 < count }) {
                let ready = texts.indices.filter { done[$0] < count }.shuffled(using: &random)
                let taking = Array(ready.prefix(number(1..<5)))
                for index in taking {
                    guard let state = states[index] else {
                        let state = try model.makeState()
                        _ = try model.nextLogits(Array(texts[index][..<lengths[index]]), state: state)
                        states[index] = state
                        continue
                    }
                    switch number(0..<8) {
                    case 0: states[index] = try model.makeState(from: state.snapshot())
                    case 1: states[index] = try state.copy()
                    case 2: _ = try model.nextLogits([1, 2, 3], state: state.copy())
                    default: break
                    }
                }
                // Steps with the same sequences, and then with others.
                let chosen = taking.compactMap { states[$0] }
                for _ in 0..<min(number(1..<6), taking.map { count - done[$0] }.min() ?? 1) {
                    try step.read(taking.map { texts[$0][lengths[$0] + done[$0]] }, states: chosen)
                    for (row, index) in taking.enumerated() {
                        let found = try step.withLogits(of: row) { Array($0) }, alone = expected[index][done[index]]
                        let error = zip(found, alone).map { abs($0 - $1) }.max() ?? .infinity
                        #expect(Double(error) <= tolerance, "\(kind), sequence \(index), token \(done[index])")
                        done[index] += 1
                        #expect(states[index]?.position == lengths[index] + done[index])
                    }
                }
            }
        }

        /// Requests of all lengths have the tokens of a session of their own, however they are picked, and go on from states
        /// that stayed on the GPU.
        @Test(arguments: kinds) func equalsSessions(_ kind: DecodingTests.Kind) async throws {
            let model = try DecodingTests().model(kind).to(.cuda)
            let prompts = [3, 90, 40, 1, 17, 23, 9].enumerated().map { index, length in
                (0..<length).map { Int32(($0 * 31 + index * 11) % 64) }
            }
            func sampler(_ index: Int) throws -> Sampler {
                let options =
                    switch index % 5 {
                    case 0: try SamplingOptions()
                    case 1: try SamplingOptions(repetitionPenalty: 1.5, repetitionWindow: 20, temperature: 0.9, topK: 9)
                    case 2: try SamplingOptions(temperature: 1.3, topP: 0.8, minP: 0.02)
                    case 3: try SamplingOptions(logitBias: [3: 2], temperature: 0.7)
                    default: try SamplingOptions(frequencyPenalty: 0.5, temperature: 0.5)
                    }
                return Sampler(options, seed: UInt64(index))
            }
            func request(_ index: Int) throws -> SequenceRequest {
                SequenceRequest(
                    prompt: prompts[index], samplers: [try sampler(index)], limit: 3 + 2 * index,
                    strings: try StopStrings())
            }
            func tokens(_ events: SequenceEvents) async throws -> (found: [Int32], cached: Int) {
                var (found, cached) = ([Int32](), 0)
                for try await event in events {
                    if case .token(_, _, _, let id) = event { found.append(id) }
                    if case .read(let reading) = event { cached = reading.cached }
                }
                return (found, cached)
            }
            // By logits that travel, which the scheduler's need not.
            let expected = try prompts.indices.map { index in
                let session = try GenerationSession(model)
                try session.read(prompts[index])
                var (sampler, found, counts) = (try sampler(index), [Int32](), [Int32: Int]())
                for _ in 0..<3 + 2 * index {
                    let recent = (prompts[index] + found).suffix(sampler.options.repetitionWindow)
                    let token = try session.withLogits { try sampler.sample($0, after: recent, generated: counts) }
                    found.append(token)
                    counts[token, default: 0] += 1
                    try session.read([token])
                }
                return found
            }
            var options = SchedulerOptions()
            (options.batch, options.reuse, options.warmsUp) = (3, .exact, true)
            let scheduler = try Scheduler(model, tokenizer: try asciiTokenizer(), options: options)
            var endless = try request(0)
            endless.limit = 100_000
            let gone = try scheduler.submit(endless)
            let first = try prompts.indices.map { try scheduler.submit(try request($0)) }
            for (index, events) in first.enumerated() {
                #expect(try await tokens(events).found == expected[index], "\(kind), request \(index)")
            }
            gone.cancel()
            for (index, wanted) in expected.enumerated() {
                let again = try await tokens(try scheduler.submit(try request(index)))
                #expect(again.found == wanted, "\(kind), request \(index) again")
                #expect(again.cached == prompts[index].count)
            }
            await scheduler.stop(within: .seconds(60))
        }

        /// Kernels and products of one layer of a step, replayed.
        @Test("few launches a layer", arguments: [1, 4], [(DecodingTests.Kind.slotsWithWindow, 7), (.attention, 6)])
        func launches(_ rows: Int, _ expected: (kind: DecodingTests.Kind, count: Int)) throws {
            let counts = try [1, 3].map { layers in
                let model = try DecodingTests().model(expected.kind, layers: layers).to(.cuda)
                let together = try Together(model, reading: .init(repeating: [], count: rows))
                let tokens = [Int32](repeating: 5, count: rows)
                for _ in 0..<2 { try together.read(tokens) }
                let before = moult_emulated_launches()
                try together.read(tokens)
                return moult_emulated_launches() - before
            }
            #expect(counts[1] - counts[0] == 2 * expected.count, "\(counts[0]) with one layer")
        }

        /// What is said to be measured is, and the progress ends where all work is done.
        @Test(arguments: [Device.cpu, .cuda]) func benchmark(_ device: Device) throws {
            let model = try DecodingTests().model(.slotsWithWindow).to(device)
            let benchmark = SpeedBenchmark(prefill: [8], depths: [12, 3], batches: [1, 3], decode: 4, repeats: 2)
            var (done, results) = (0, [SpeedBenchmark.Result]())
            try benchmark.run(model, progress: { read, _ in done = read }, emit: { results.append($0) })
            let decoded = [3, 12].flatMap { depth in [1, 3].map { SpeedBenchmark.Kind.decode(depth: depth, batch: $0) }
            }
            let prompts = device == .cpu ? [1] : [1, 3]
            #expect(results.map(\.kind) == prompts.map { .prefill(tokens: 8, batch: $0) } + decoded)
            #expect(done == benchmark.work(on: device))
            #expect(results.allSatisfy { $0.rates.count == 2 && $0.rates.allSatisfy { $0 > 0 } })
            let bytes = try model.configuration.stateCost(on: device).constant
            #expect(results.suffix(4).allSatisfy { (1...bytes).contains($0.stateBytes) })
        }

        @Test func refusals() throws {
            let model = try DecodingTests().model(.slotsWithWindow).to(.cuda)
            let (state, step) = (try model.makeState(), try model.makeStep(capacity: 2))
            #expect(throws: ModelError.self) { try step.read([1, 2], states: [state, state]) }
            #expect(throws: ModelError.self) { try step.read([1, 72], states: [state, model.makeState()]) }
            #expect(throws: ModelError.self) { try step.read([1], states: [model.makeState(rows: 2)]) }
            #expect(throws: ModelError.self) { try step.pick([TokenChoice()]) }
            #expect(throws: ModelError.self) { try step.withLogits(of: 0) { _ in } }
            #expect(state.position == 0)
        }
    }
}
