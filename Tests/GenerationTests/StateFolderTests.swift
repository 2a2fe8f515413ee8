import Foundation
import Generation
import Models
import Support
import Synchronization
import TestSupport
import Testing

@Suite("States that outlive a scheduler")
struct StateFolderTests {
    private let temporary: TemporaryFolder
    private var path: String { "\(temporary.path)/states" }

    init() throws { temporary = try TemporaryFolder() }

    /// Lines of warnings.
    private final class Warnings: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    /// Runs `body` with a scheduler whose states are in the folder, and lets go of it.
    private func scheduling(
        _ name: String = "moult-gsa-window", budget: Int = 1 << 30, stateBytes: Int = 1 << 26,
        reuse: SchedulerOptions.StateReuse = .longest, warnings: Warnings = Warnings(),
        _ body: (Scheduler) async throws -> Void
    ) async throws {
        let model = try tinyModel(name)
        var options = SchedulerOptions()
        (options.reuse, options.stateBytes) = (reuse, stateBytes)
        options.folder = try StateFolder(path: path, budget: budget, model: model) { warnings.add($0) }
        let scheduler = try Scheduler(model, tokenizer: try asciiTokenizer(), options: options)
        try await body(scheduler)
        await scheduler.stop(within: .seconds(10))
    }

    private func prompt(_ length: Int, _ seed: Int = 0) -> [Int32] {
        (0..<length).map { Int32(($0 * 31 + seed * 11) % 64) }
    }

    private func request(_ prompt: [Int32], limit: Int = 6, scope: String = "") throws -> SequenceRequest {
        var request = SequenceRequest(
            prompt: prompt, samplers: [try Sampler(temperature: 0)], limit: limit, strings: try StopStrings())
        request.scope = scope
        return request
    }

    private func ask(
        _ scheduler: Scheduler, _ request: SequenceRequest
    ) async throws -> (cached: Int, tokens: [Int32]) {
        var result = (cached: 0, tokens: [Int32]())
        for try await event in try scheduler.submit(request) {
            switch event {
            case .read(let reading): result.cached = reading.cached
            case .token(_, _, _, let id): result.tokens.append(id)
            default: break
            }
        }
        return result
    }

    /// Files of states, their names only.
    private var files: [String] { temporary.contents.filter { $0.hasSuffix(".moult-state") } }

    @Test(
        "what follows a restart is what would have followed",
        arguments: ["llama-tied", "moult-gsa-window", "fla-gsa-hybrid"])
    func restarts(_ name: String) async throws {
        let first = prompt(90)
        var answer: [Int32] = []
        var expected: [Int32] = []
        try await scheduling(name) { scheduler in
            answer = try await ask(scheduler, try request(first)).tokens
            // When the end is told, the state is on the disk.
            #expect(files.contains { $0.contains("-95-near") })
            var next = try request(first + answer + prompt(5, 1), limit: 12)
            next.isDurable = false
            expected = try await ask(scheduler, next).tokens
        }
        try await scheduling(name) { scheduler in
            let next = try await ask(scheduler, try request(first + answer + prompt(5, 1), limit: 12))
            #expect(next.cached == first.count + 5)
            #expect(next.tokens == expected)
            #expect(scheduler.statistics.diskHits == 1)
            // The prompt's own end is there too, with its logits: nothing is read at all.
            let again = try await ask(scheduler, try request(first))
            #expect(again.cached == 90 && again.tokens == answer)
        }
    }

    @Test func exactStatesAreThereAgain() async throws {
        let base = prompt(1300)
        var expected: [Int32] = []
        try await scheduling(reuse: .none) { expected = try await ask($0, try request(base + [5, 6])).tokens }
        #expect(files.isEmpty)
        try await scheduling(reuse: .exact) { _ = try await ask($0, try request(base)) }
        try await scheduling(reuse: .exact) { scheduler in
            let found = try await ask(scheduler, try request(base + [5, 6]))
            #expect(found.cached == 1024 && found.tokens == expected)
        }
    }

    @Test func nobodyElseGoesOnFromThem() async throws {
        let secret = "sk-very-secret"
        try await scheduling { _ = try await ask($0, try request(prompt(60), scope: secret)) }
        for name in temporary.contents {
            #expect(!name.contains(secret))
            guard let data = try? RegularFile.contents("\(temporary.path)/\(name)") else { continue }
            #expect(data.firstRange(of: Data(secret.utf8)) == nil, "\(name)")
        }
        var status = stat()
        #expect(stat("\(path)/secret", &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o700)
        try await scheduling { scheduler in
            let (other, own) = (try request(prompt(60)), try request(prompt(60), scope: secret))
            #expect(try await ask(scheduler, other).cached == 0)
            #expect(try await ask(scheduler, own).cached == 60)
        }
    }

    @Test("what is damaged is skipped with a line", arguments: ["cut", "flipped", "foreign", "empty"])
    func damage(_ kind: String) async throws {
        try await scheduling { _ = try await ask($0, try request(prompt(700), limit: 1)) }
        let name = try #require(files.first { $0.contains("-700-") })
        var bytes = Array(try RegularFile.contents("\(temporary.path)/\(name)"))
        switch kind {
        case "cut": bytes.removeLast(bytes.count / 2)
        case "flipped": bytes[bytes.count / 2] ^= 1
        case "foreign": bytes = Array("a letter".utf8)
        default: bytes = []
        }
        try Data(bytes).write(to: URL(fileURLWithPath: "\(temporary.path)/\(name)"))
        let warnings = Warnings()
        try await scheduling(warnings: warnings) { scheduler in
            let found = try await ask(scheduler, try request(prompt(700), limit: 1))
            #expect(found.cached == 512)
        }
        #expect(warnings.all.count { $0.contains(name.suffix(40)) } >= 1, "\(warnings.all)")
        // What does not begin as a state is left as it is.
        let isForeign = kind == "foreign" || kind == "empty"
        #expect((try? RegularFile.contents("\(temporary.path)/\(name)")) == Data(bytes) || !isForeign)
    }

    @Test func anyDamageIsNoTrap() async throws {
        try await scheduling { _ = try await ask($0, try request(prompt(40), limit: 1)) }
        let name = try #require(files.first { $0.contains("-40-") })
        let whole = Array(try RegularFile.contents("\(temporary.path)/\(name)"))
        var generator = SplitMix64(seed: 3)
        for _ in 0..<20 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator)) }
            // With a checksum that holds, so that what lies behind it is looked at too.
            if bytes.count > 80 {
                withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { bytes.replaceSubrange(16..<24, with: $0) }
                let sum = bytes.dropLast(8).withUnsafeBytes(XXHash64.hash)
                withUnsafeBytes(of: sum.littleEndian) { bytes.replaceSubrange((bytes.count - 8)..., with: $0) }
            }
            try Data(bytes).write(to: URL(fileURLWithPath: "\(temporary.path)/\(name)"))
            try await scheduling { scheduler in
                let found = try await ask(scheduler, try request(prompt(40) + [7], limit: 1))
                #expect(found.cached == 0 || found.cached == 40)
            }
            for name in files { unlink("\(temporary.path)/\(name)") }
        }
    }

    @Test func otherModelsStatesStay() async throws {
        try await scheduling { _ = try await ask($0, try request(prompt(60))) }
        let before = files
        let warnings = Warnings()
        try await scheduling("moult-gsa", warnings: warnings) { scheduler in
            let found = try await ask(scheduler, try request(prompt(60)))
            #expect(found.cached == 0)
        }
        #expect(warnings.all.count == 1 && warnings.all[0].contains("\(before.count) states of other models"))
        #expect(Set(before).isSubset(of: files))
    }

    @Test func oneServerAtATime() async throws {
        try await scheduling { _ in
            let error = #expect(throws: GenerationError.self) {
                try StateFolder(path: path, budget: 1, model: try tinyModel("moult-gsa")) { _ in }
            }
            #expect(error?.description.contains("used by process \(getpid())") == true)
            #expect(error?.description.contains("\n") == false)
        }
        try temporary.write("file", "text")
        #expect(throws: GenerationError.self) {
            try StateFolder(path: "\(temporary.path)/file", budget: 1, model: try tinyModel("moult-gsa")) { _ in }
        }
    }

    @Test func budgetsOfBothTiers() async throws {
        let model = try tinyModel("moult-gsa-window")
        let size = try model.makeState().byteCount
        // Room for two states in memory, and a few on the disk.
        try await scheduling(budget: 6 * size, stateBytes: 2 * size + 3000) { scheduler in
            for seed in 0..<8 { _ = try await ask(scheduler, try request(prompt(20, seed), limit: 2)) }
            #expect(scheduler.statistics.diskStateBytes <= 6 * size)
            #expect(try await ask(scheduler, try request(prompt(20, 0), limit: 2)).cached == 0)
            #expect(try await ask(scheduler, try request(prompt(20, 7) + [1], limit: 2)).cached == 20)
        }
        #expect(!files.isEmpty)
        // Too small for any: nothing is kept there, and everything is answered.
        let warnings = Warnings()
        try await scheduling(budget: 10, warnings: warnings) { scheduler in
            let found = try await ask(scheduler, try request(prompt(20, 1)))
            #expect(found.tokens.count == 6)
        }
        #expect(files.isEmpty)
        #expect(!warnings.all.isEmpty)
    }

    @Test func whatIsNotDurableStaysInMemory() async throws {
        try await scheduling { scheduler in
            var request = try request(prompt(60))
            request.isDurable = false
            _ = try await ask(scheduler, request)
            #expect(try await ask(scheduler, request).cached == 60)
        }
        #expect(files.isEmpty)
    }

    @Test("interleaved sequences are as alone, whatever is written beside")
    func interleaved() async throws {
        let prompts = (0..<6).map { prompt(20 + 130 * $0, $0) }
        let model = try tinyModel("moult-gsa-window")
        let expected = try prompts.map { prompt in
            let session = try GenerationSession(model)
            try session.read(prompt)
            var (sampler, tokens) = (try Sampler(temperature: 0), [Int32]())
            try session.generate(limit: 40, sampler: &sampler, stops: []) { tokens.append($0) }
            return tokens
        }
        for _ in 0..<2 {
            try await scheduling(reuse: .exact) { scheduler in
                let events = try prompts.map { try scheduler.submit(try request($0, limit: 40)) }
                for (events, expected) in zip(events, expected) {
                    var found: [Int32] = []
                    for try await event in events { if case .token(_, _, _, let id) = event { found.append(id) } }
                    #expect(found == expected)
                }
            }
        }
    }

    @Test func theBeginningThatIsSharedIsKept() async throws {
        try await scheduling { scheduler in
            let shared = prompt(300)
            func cached(_ seed: Int32) async throws -> Int {
                let own = (0..<40).map { ($0 * 7 + seed) % 64 }
                return try await ask(scheduler, try request(shared + [seed] + own, limit: 1)).cached
            }
            // Where the second parts from the first its state is kept, from which the third goes on.
            let found = [try await cached(3), try await cached(4), try await cached(5)]
            #expect(found == [0, 0, 300])
        }
    }

    @Test func boundariesAndTheGrid() async throws {
        try await scheduling { scheduler in
            var long = try request(prompt(6000), limit: 1)
            long.boundaries = [100, 110, 2222]
            _ = try await ask(scheduler, long)
            // The longest first: what each leaves is of no use to those after it.
            for (length, cached) in [
                (5999, 5632), (5200, 5120), (5000, 4608), (4500, 4096), (2300, 2222), (2200, 100), (130, 100), (90, 0),
            ] {
                let next = try request(Array(prompt(6000)[..<length]) + [63, 62], limit: 1)
                #expect(try await ask(scheduler, next).cached == cached, "\(length) tokens")
            }
        }
    }
}
