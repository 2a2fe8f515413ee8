import Foundation
import Generation
import Models
import TestSupport
import Testing
import Tokenizers

@Suite("Scheduler")
struct SchedulerTests {
    private struct Outcome: Equatable {
        var cached = 0
        var prompt: [TokenLikelihood] = []
        var tokens: [Int: [Int32]] = [:]
        var likelihoods: [Int: [TokenLikelihood]] = [:]
        var text: [Int: String] = [:]
        var reasons: [Int: SequenceEvent.Ending.Reason] = [:]
    }

    private func outcome(_ events: SequenceEvents) async throws -> Outcome {
        var outcome = Outcome()
        for try await event in events {
            switch event {
            case .reading: break
            case .read(let reading): (outcome.cached, outcome.prompt) = (reading.cached, reading.likelihoods)
            case .token(let choice, let likelihood, let text, let id):
                outcome.tokens[choice, default: []].append(id)
                outcome.text[choice, default: ""] += text
                if let likelihood { outcome.likelihoods[choice, default: []].append(likelihood) }
            case .finished(let choice, let ending, let text):
                outcome.text[choice, default: ""] += text
                outcome.reasons[choice] = ending.reason
            }
        }
        return outcome
    }

    private func scheduler(
        _ name: String = "moult-gsa-window", batch: Int = 3, queue: Int = 64,
        reuse: SchedulerOptions.StateReuse = .none,
        stateBytes: Int = 1 << 26
    ) throws -> Scheduler {
        var options = SchedulerOptions()
        (options.batch, options.queue, options.reuse, options.stateBytes) = (batch, queue, reuse, stateBytes)
        return try Scheduler(try tinyModel(name), tokenizer: try asciiTokenizer(), options: options)
    }

    private func prompt(_ length: Int, _ seed: Int = 0) -> [Int32] {
        (0..<length).map { Int32(($0 * 31 + seed * 11) % 64) }
    }

    private func request(
        _ prompt: [Int32], limit: Int, temperature: Float = 0, seeds: [UInt64] = [0], stops: [String] = []
    ) throws -> SequenceRequest {
        SequenceRequest(
            prompt: prompt, samplers: try seeds.map { try Sampler(temperature: temperature, seed: $0) }, limit: limit,
            strings: try StopStrings(stops))
    }

    @Test(
        "what runs beside a request changes nothing of it",
        arguments: ["llama-tied", "moult-gsa-window", "fla-gsa-hybrid"])
    func equalsSessions(_ name: String) async throws {
        let model = try tinyModel(name)
        let scheduler = try scheduler(name)
        let lengths = [3, 1100, 40, 1, 17, 513, 9, 600]
        let requests = try lengths.enumerated().map { index, length in
            try request(
                prompt(length, index), limit: 4 + 5 * index, temperature: index % 2 == 0 ? 0 : 0.9,
                seeds: index == 2 ? [7, 8, 9] : [UInt64(index)])
        }
        let all = try requests.map { try scheduler.submit($0) }
        for (request, events) in zip(requests, all) {
            let outcome = try await outcome(events)
            for (choice, sampler) in request.samplers.enumerated() {
                let session = try GenerationSession(model)
                try session.read(request.prompt)
                var (sampler, expected) = (sampler, [Int32]())
                try session.generate(limit: request.limit, sampler: &sampler, stops: []) { expected.append($0) }
                #expect(outcome.tokens[choice] == expected, "\(request.prompt.count) tokens, choice \(choice)")
                #expect(outcome.reasons[choice] == .limit)
            }
            #expect(outcome.cached == 0)
        }
        let statistics = scheduler.statistics
        #expect(statistics.promptTokens == lengths.reduce(0, +))
        #expect(statistics.stepTokens > statistics.steps, "no step had several sequences")
    }

    @Test func likelihoodsAreThoseOfTheModel() async throws {
        let model = try tinyModel("moult-gsa-window")
        let scheduler = try scheduler()
        let prompts = [prompt(5), prompt(700, 1), prompt(33, 2), prompt(1, 3), prompt(400, 4), prompt(1500, 5)]
        let requests = try prompts.enumerated().map { index, prompt in
            var request = try request(prompt, limit: index == 2 ? 0 : 1)
            (request.promptAlternatives, request.alternatives) = (3, 3)
            return request
        }
        for (request, events) in zip(requests, try scheduler.submit(requests)) {
            let outcome = try await outcome(events)
            let positions = Array(1..<request.prompt.count)
            let expected = positions.isEmpty ? [] : try model.scores(of: positions, in: request.prompt)
            #expect(outcome.prompt.count == positions.count)
            for (score, likelihood) in zip(expected, outcome.prompt) {
                #expect(abs(score.loss + likelihood.chosen.logprob) < 1e-4)
                #expect(likelihood.top.count == 3)
                #expect(likelihood.top.map(\.logprob) == likelihood.top.map(\.logprob).sorted(by: >))
                #expect(score.isMostLikely == (likelihood.top[0].token == likelihood.chosen.token))
                // The same number in both places, which clients compare.
                if let same = likelihood.top.first(where: { $0.token == likelihood.chosen.token }) {
                    #expect(same == likelihood.chosen)
                }
            }
            #expect(outcome.tokens[0]?.count ?? 0 == request.limit)
            if request.limit == 1 { #expect(outcome.likelihoods[0]?[0].top[0].token == outcome.tokens[0]?[0]) }
            #expect(outcome.reasons[0] == .limit)
        }
    }

    @Test func aReaderThatGoesAwayMakesRoom() async throws {
        let scheduler = try scheduler(batch: 1)
        let endless = try scheduler.submit(try request([5, 6], limit: 10_000_000))
        var tokens = 0
        for try await event in endless {
            if case .token = event { tokens += 1 }
            if tokens == 3 { break }
        }
        let next = try scheduler.submit(try request([9], limit: 2))
        endless.cancel()
        #expect(try await outcome(next).tokens[0]?.count == 2)
        // A task that is cancelled takes its request along.
        let other = try scheduler.submit(try request([5, 6], limit: 10_000_000))
        let task = Task { try await outcome(other) }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await outcome(try scheduler.submit(try request([9], limit: 2))).tokens[0]?.count == 2)
    }

    @Test func aSlowReaderPausesItsSequenceAlone() async throws {
        let scheduler = try scheduler(batch: 1)
        let slow = try scheduler.submit(try request([5, 6, 7], limit: 500, temperature: 1, seeds: [3]))
        // It pauses, and gives its place away.
        let quick = try await outcome(try scheduler.submit(try request([9], limit: 300)))
        #expect(quick.tokens[0]?.count == 300)
        let generated = scheduler.statistics.generatedTokens
        #expect(generated < 300 + 100, "the sequence that nobody reads went on to \(generated - 300) tokens")
        let session = try GenerationSession(try tinyModel("moult-gsa-window"))
        try session.read([5, 6, 7])
        var (sampler, expected) = (try Sampler(temperature: 1, seed: 3), [Int32]())
        try session.generate(limit: 500, sampler: &sampler, stops: []) { expected.append($0) }
        #expect(try await outcome(slow).tokens[0] == expected)
    }

    @Test func theQueueHasAnEnd() async throws {
        let scheduler = try scheduler(batch: 1, queue: 2)
        // Asked for faster than they can be answered.
        var waiting: [SequenceEvents] = []
        #expect(throws: SchedulerError.full(waiting: 2)) {
            for _ in 0..<100_000 { waiting.append(try scheduler.submit(try request([2], limit: 1))) }
        }
        for events in waiting { #expect(try await outcome(events).tokens[0]?.count == 1) }
        #expect(try await outcome(try scheduler.submit(try request([2], limit: 1))).tokens[0]?.count == 1)
    }

    @Test func shortPromptsComeBeforeLongOnes() async throws {
        func seconds(_ events: SequenceEvents) async throws -> (queued: Double, reading: Double) {
            var seconds = (queued: 0.0, reading: 0.0)
            for try await event in events { if case .read(let reading) = event { seconds = reading.seconds } }
            return seconds
        }
        let scheduler = try scheduler(batch: 8)
        let long = try scheduler.submit(try request(prompt(20_000), limit: 1))
        let short = try scheduler.submit(try request(prompt(8), limit: 1))
        let (shorter, longer) = (try await seconds(short), try await seconds(long))
        #expect(shorter.queued + shorter.reading < (longer.queued + longer.reading) / 2)
    }

    @Test("a state of exact reuse gives the same bits", arguments: ["llama-tied", "moult-gsa-window"])
    func exactStates(_ name: String) async throws {
        let fresh = try scheduler(name)
        let reusing = try scheduler(name, reuse: .exact)
        let base = prompt(1300)
        let prompts = [
            base, base, base + [5, 6, 7], Array(base[..<1030]) + [1], Array(base[..<40]), base + prompt(300, 2),
        ]
        let cached = [0, 1300, 1024, 1024, 0, 1024]
        for (prompt, cached) in zip(prompts, cached) {
            let request = try request(prompt, limit: 12, temperature: 0.8, seeds: [4])
            let found = try await outcome(try reusing.submit(request))
            #expect(found.cached == cached)
            let expected = try await outcome(try fresh.submit(request))
            #expect(found.tokens == expected.tokens, "\(prompt.count) tokens")
        }
        #expect(reusing.statistics.hits == 4)
        #expect(reusing.statistics.cachedTokens == cached.reduce(0, +))
    }

    @Test func aConversationReadsWhatIsNew() async throws {
        let scheduler = try scheduler(reuse: .longest)
        var history = prompt(90)
        for turn in 0..<3 {
            var request = try request(history, limit: 8)
            request.scope = "someone"
            let outcome = try await outcome(try scheduler.submit(request))
            let answer = try #require(outcome.tokens[0])
            // All but the last token of an answer that ended at its limit was read.
            #expect(outcome.cached == (turn == 0 ? 0 : history.count - 6))
            history += answer + prompt(5, turn)
        }
        // Nobody else goes on from it.
        var other = try request(history, limit: 1)
        other.scope = "someone else"
        #expect(try await outcome(try scheduler.submit(other)).cached == 0)
        other.scope = "someone"
        other.reusesStates = false
        #expect(try await outcome(try scheduler.submit(other)).cached == 0)
    }

    @Test func statesKeepToTheirBudget() async throws {
        let model = try tinyModel("moult-gsa-window")
        let bytes = try model.makeState().byteCount
        let budget = 3 * bytes + 4 * 3 * 200
        let scheduler = try scheduler(reuse: .longest, stateBytes: budget)
        for seed in 0..<8 {
            _ = try await outcome(try scheduler.submit(try request(prompt(20, seed), limit: 2)))
            #expect(scheduler.statistics.stateBytes <= budget)
        }
        #expect(scheduler.statistics.states > 0)
        // The newest is there, the oldest is not.
        #expect(try await outcome(try scheduler.submit(try request(prompt(20, 7), limit: 1))).cached == 20)
        #expect(try await outcome(try scheduler.submit(try request(prompt(20, 0), limit: 1))).cached == 0)
    }

    @Test func endsOfTexts() async throws {
        let scheduler = try scheduler()
        let whole = try await outcome(
            try scheduler.submit(try request([5, 6, 7], limit: 40, temperature: 1, seeds: [1])))
        let text = try #require(whole.text[0])
        let cut = String(text.dropFirst(7).prefix(3))
        let stopped = try await outcome(
            try scheduler.submit(try request([5, 6, 7], limit: 40, temperature: 1, seeds: [1], stops: [cut])))
        #expect(stopped.reasons[0] == .stopString)
        #expect(stopped.text[0] == text.firstRange(of: cut).map { String(text[..<$0.lowerBound]) })
        var byToken = try request([5, 6, 7], limit: 40, temperature: 1, seeds: [1])
        byToken.stops = [try #require(whole.tokens[0])[0]]
        byToken.alternatives = 2
        let none = try await outcome(try scheduler.submit(byToken))
        #expect(none.tokens.isEmpty)
        #expect(none.reasons[0] == .stopToken)
        var late = try request([5, 6, 7], limit: 10_000_000)
        late.deadline = .now + .milliseconds(60)
        let cutShort = try await outcome(try scheduler.submit(late))
        #expect(cutShort.reasons[0] == .deadline)
        late.deadline = .now - .seconds(1)
        await #expect(throws: SchedulerError.late) { try await outcome(try scheduler.submit(late)) }
    }

    @Test func penaltiesOfGeneratedTokens() async throws {
        let scheduler = try scheduler()
        func distinct(_ frequency: Float, _ presence: Float) async throws -> Int {
            let options = try SamplingOptions(frequencyPenalty: frequency, presencePenalty: presence)
            let request = SequenceRequest(
                prompt: [5, 6, 7], samplers: [Sampler(options)], limit: 60, strings: try StopStrings())
            return Set(try await outcome(try scheduler.submit(request)).tokens[0] ?? []).count
        }
        let plain = try await distinct(0, 0)
        #expect(try await distinct(2, 0) > plain)
        #expect(try await distinct(0, 2) > plain)
        #expect(throws: GenerationError.self) { try SamplingOptions(frequencyPenalty: 3) }
    }

    @Test func itStopsWithAWord() async throws {
        let scheduler = try scheduler(batch: 1)
        let running = try scheduler.submit(try request([1], limit: 10_000_000))
        let waiting = try scheduler.submit(try request([2], limit: 10_000_000))
        let outcomes = [running, waiting].map { events in Task { try await outcome(events) } }
        try await Task.sleep(for: .milliseconds(20))
        await scheduler.stop(within: .milliseconds(50))
        for outcome in outcomes {
            await #expect(throws: SchedulerError.stopping) { try await outcome.value }
        }
        #expect(throws: SchedulerError.stopping) { try scheduler.submit(try request([1], limit: 1)) }
    }

    @Test func whatRunsMayEndBeforeItStops() async throws {
        let scheduler = try scheduler()
        let running = try scheduler.submit(try request([1], limit: 30))
        async let outcome = outcome(running)
        await scheduler.stop(within: .seconds(60))
        #expect(try await outcome.tokens[0]?.count == 30)
    }

    @Test func refusals() throws {
        let scheduler = try scheduler()
        #expect(throws: GenerationError.emptyPrompt) { try scheduler.submit(try request([], limit: 1)) }
        #expect(throws: GenerationError.self) { try scheduler.submit(try request([1], limit: 0)) }
        #expect(throws: GenerationError.self) { try scheduler.submit(try request([1], limit: 1, seeds: [])) }
        #expect(throws: ModelError.self) { try scheduler.submit(try request([-1], limit: 1)) }
        var curious = try request([1], limit: 1)
        curious.alternatives = 21
        #expect(throws: GenerationError.self) { try scheduler.submit(curious) }
    }
}
