import Foundation
import Generation
import TestSupport
import Testing
import Tokenizers

@Suite("Continued text")
struct TextContinuationTests {
    private let tokenizer: Tokenizer
    private let session: GenerationSession

    init() throws {
        tokenizer = try asciiTokenizer()
        session = try GenerationSession(try tinyModel("moult-gsa-window"))
        try session.read(tokenizer.encode("Once upon a time"))
    }

    private func text(
        _ session: GenerationSession, limit: Int = 60, strings: [String] = [], stops: Set<Int32> = [],
        readsLast: Bool = false, characters: Int = .max
    ) throws -> (text: String, result: TextContinuation) {
        // Ids that the tokenizer has no token for are forbidden.
        let bias = Dictionary(uniqueKeysWithValues: (98..<128).map { (Int32($0), -Float.infinity) })
        var sampler = Sampler(try SamplingOptions(logitBias: bias, temperature: 3), seed: 4)
        var text = ""
        let result = try session.continueText(
            limit: limit, sampler: &sampler, tokenizer: tokenizer, stops: stops, strings: StopStrings(strings),
            readsLast: readsLast
        ) {
            text += $0
            return text.count < characters
        }
        return (text, result)
    }

    @Test func endsAtTheLimit() throws {
        let (text, result) = try text(session.fork())
        #expect(result == TextContinuation(tokens: 60, end: .limit))
        #expect(text.count > 40)
        #expect(try self.text(try session.fork(), limit: 0).result.tokens == 0)
    }

    @Test("cut exactly before a stop string, of which nothing is given out")
    func endsAtAString() throws {
        let whole = try text(session.fork()).text
        for length in 1...4 {
            for start in [0, 1, 20, 30] {
                let stop = String(whole.dropFirst(start).prefix(length))
                guard let range = whole.range(of: stop) else { continue }
                let (cut, result) = try text(session.fork(), strings: ["not there", stop])
                #expect(cut == String(whole[..<range.lowerBound]), "\(stop)")
                #expect(result.end == .stopString)
            }
        }
    }

    @Test func endsAtATokenOrWhenNoMoreIsWanted() throws {
        let whole = try text(session.fork()).text
        let third = try tokenizer.encode(whole)[2]
        let (cut, result) = try text(session.fork(), stops: [third])
        #expect(result.end == .stopToken && whole.hasPrefix(cut) && result.tokens <= 2)
        let (short, stopped) = try text(session.fork(), characters: 5)
        #expect(stopped.end == .stopped && short == String(whole.prefix(5)))
    }

    @Test("the last token is read when the session is to be saved")
    func readsLast() throws {
        let before = session.state.position
        for (readsLast, extra) in [(false, 9), (true, 10)] {
            let fork = try session.fork()
            _ = try text(fork, limit: 10, readsLast: readsLast)
            #expect(fork.state.position == before + extra)
        }
    }

    @Test("a feed reads the same segments however tokens arrive")
    func feed() throws {
        let tokens = (0..<1500).map { Int32($0 * 7 % 128) }
        var digests: [[Float]] = []
        for size in [1, 100, 1500] {
            let session = try GenerationSession(session.model)
            var feed = TokenFeed(session, every: 300)
            var stops: [Int] = []
            for start in stride(from: 0, to: tokens.count, by: size) {
                try feed.append(
                    Array(tokens[start..<min(start + size, tokens.count)]),
                    stop: {
                        stops.append(session.state.position)
                    })
            }
            #expect(stops == [300, 600, 900, 1200, 1500])
            try feed.finish()
            #expect(feed.read == 1500)
            digests.append(try session.state.snapshot().tensors.flatMap { try $0.value.array() })
        }
        #expect(digests[0] == digests[1] && digests[0] == digests[2])
        var stopped = TokenFeed(try GenerationSession(session.model))
        try stopped.append(tokens, goesOn: { false })
        #expect(stopped.read == 0)
        try stopped.finish()
        #expect(stopped.read == 1500)
    }
}
