import Foundation
import Generation
import Models
import TestSupport
import Testing

@Suite("The prompt cache")
struct PromptCacheTests {
    private let folder: TemporaryFolder
    private let model: DecoderModel
    private let tokens = (0..<1300).map { Int32($0 * $0 % 127) }

    init() throws {
        folder = try TemporaryFolder()
        model = try tinyModel("moult-gsa-window")
    }

    /// Reads `tokens` and checks that the session is as if they had all been read.
    /// - Returns: how many came from the cache, and the warnings.
    private func read(
        _ tokens: [Int32], limit: Int = 1 << 30, model: DecoderModel? = nil
    ) throws -> (cached: Int, warnings: [String]) {
        var warnings: [String] = []
        let cache = try PromptCache(folder: folder.path, limit: limit) { warnings.append($0) }
        let (session, cached) = try cache.session(reading: tokens, model: model ?? self.model)
        let fresh = try GenerationSession(model ?? self.model)
        try fresh.read(tokens)
        #expect(session.digest == fresh.digest && session.state.position == tokens.count)
        for (a, b) in zip(try session.state.snapshot().tensors, try fresh.state.snapshot().tensors) {
            for (x, y) in zip(try a.value.array(), try b.value.array()) { #expect(abs(x - y) <= 1e-4 * (1 + abs(y))) }
        }
        return (cached, warnings)
    }

    private var entries: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path) } }

    @Test("the longest stored beginning is not read again")
    func longest() throws {
        #expect(try read(tokens).cached == 0)
        #expect(try entries.count == 2)
        #expect(try read(tokens).cached == 1300)
        #expect(try read(tokens + [1, 2, 3]).cached == 1300)
        // Another ending: from the last multiple of the segment.
        #expect(try read(tokens.dropLast(100) + [5]).cached == 1024)
        #expect(try read(Array(tokens.prefix(1024))).cached == 1024)
        #expect(try read([9] + tokens).cached == 0)
        #expect(try read(tokens, model: tinyModel("moult-gsa")).cached == 0)
        #expect(try read(Array(tokens.prefix(7))).cached == 0)
        #expect(throws: GenerationError.emptyPrompt) { try read([]) }
    }

    @Test("a damaged or misplaced entry is passed over with a warning, and replaced")
    func damage() throws {
        _ = try read(tokens)
        for entry in try entries {
            let path = "\(folder.path)/\(entry)"
            try Data(contentsOf: URL(fileURLWithPath: path)).dropLast(3).write(to: URL(fileURLWithPath: path))
        }
        let damaged = try read(tokens)
        #expect(damaged.cached == 0 && damaged.warnings.count == 2)
        #expect(damaged.warnings.allSatisfy { $0.contains("damaged") && !$0.contains("\n") })
        let whole = try read(tokens)
        #expect(whole.cached == 1300 && whole.warnings.isEmpty)
        let names = try entries.sorted { $0.count < $1.count }
        try FileManager.default.removeItem(atPath: "\(folder.path)/\(names[0])")
        try FileManager.default.moveItem(
            atPath: "\(folder.path)/\(names[1])", toPath: "\(folder.path)/\(names[0])")
        let misplaced = try read(tokens)
        #expect(misplaced.warnings.count == 1)
        #expect(misplaced.cached == 0)
    }

    @Test("the least recently used entries go first")
    func size() throws {
        func prompt(_ first: Int32) -> [Int32] { [first, 2, 3, 4] }
        _ = try read(prompt(1))
        let name = try #require(try entries.first)
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder.path)/\(name)")
        let size = try #require(attributes[.size] as? Int)
        for first in 2...3 { _ = try read(prompt(Int32(first)), limit: 3 * size) }
        #expect(try entries.count == 3)
        // Used again, and so not the oldest.
        #expect(try read(prompt(1), limit: 3 * size).cached == 4)
        _ = try read(prompt(4), limit: 3 * size)
        #expect(try entries.count == 3)
        #expect(try read(prompt(1), limit: 3 * size).cached == 4)
        #expect(try read(prompt(2), limit: 3 * size).cached == 0)
        let tight = try read(prompt(6), limit: 10)
        #expect(tight.cached == 0 && tight.warnings.count == 1)
    }

    @Test("nothing that is no entry is read, removed or replaced")
    func foreign() throws {
        let prompt: [Int32] = [1, 2, 3, 4]
        _ = try read(prompt)
        let name = try #require(try entries.first)
        let state = try Data(contentsOf: URL(fileURLWithPath: "\(folder.path)/\(name)"))
        func named(_ digit: String) -> String { digit + name.dropFirst() }
        // Old, and so the first to go if they were entries: another program's state, a state of the user's, a file and a
        // link with names of entries, and what another program has begun.
        try folder.write("book.moult-state", state)
        try folder.write("other.moult-state", "precious")
        try folder.write(".other.moult-state.partial", "precious")
        try folder.write(named("x"), state)
        let digits = name.first == "0" ? ["1", "2"] : ["0", name.first == "1" ? "2" : "1"]
        try folder.write(named(digits[0]), "precious")
        try folder.write("elsewhere/state", state)
        #expect(symlink("elsewhere/state", "\(folder.path)/\(named(digits[1]))") == 0)
        let before = folder.contents
        #expect(try read([5, 6, 7, 8], limit: state.count).warnings == [])
        #expect(folder.contents.count == before.count && !folder.contents.contains(name))
        #expect(Set(before).subtracting(folder.contents) == [name])
        // A link in the place of an entry is neither read nor replaced, nor is a file that is none.
        for make in [
            { symlink("elsewhere/state", "\(folder.path)/\(name)") == 0 },
            { (try? folder.write(name, "precious")) != nil },
        ] {
            #expect(make())
            let (cached, warnings) = try read(prompt)
            #expect(cached == 0 && warnings.last?.contains("the prompt is not cached") == true, "\(warnings)")
            #expect(try Data(contentsOf: URL(fileURLWithPath: "\(folder.path)/elsewhere/state")) == state)
            try FileManager.default.removeItem(atPath: "\(folder.path)/\(name)")
        }
    }

    @Test("several processes may use one folder")
    func concurrency() async throws {
        let (model, path, tokens) = (model, folder.path, tokens)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for round in 0..<6 {
                        let cache = try PromptCache(folder: path, limit: 400_000) { _ in }
                        let prompt = Array(tokens.prefix(20 + (worker + round) % 5))
                        let session = try cache.session(reading: prompt, model: model).session
                        #expect(session.state.position == prompt.count)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try entries.allSatisfy { !$0.hasSuffix(".partial") })
    }
}
