import Foundation
import TestSupport
import Testing
import Text
import Tokenizers

/// Tokens from files to rows.
@Suite struct DatasetTests {
    private let folder: TemporaryFolder
    private let cache: String
    private let texts = seededDocuments(150, seed: 5)
    private let path: String

    init() throws {
        folder = try TemporaryFolder()
        cache = folder.path + "/cache"
        path = try folder.write("a.txt", texts.joined(separator: "\u{1E}"))
    }

    private static func options(_ change: (inout DataOptions) -> Void = { _ in }) -> DataOptions {
        .with {
            $0.separator = "\u{1E}"
            $0.threads = 2
            $0.shardTokens = 1000
            $0.maximumPieceBytes = 4096
            change(&$0)
        }
    }

    private func dataset(
        _ sources: [DataSource]? = nil, validation: Validation = .standard, tokenizer: Tokenizer? = nil,
        length: Int = 32, seed: UInt64 = 1, cache: String? = nil, options: DataOptions = options(),
        progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> TokenDataset {
        try TokenDataset(
            sources: sources ?? [DataSource(path: path)], validation: validation,
            tokenizer: tokenizer ?? Fixtures.tokenizer(), length: length, seed: seed, cache: cache ?? self.cache,
            options: options, progress: progress)
    }

    /// The tokens of the documents one behind another, and where each begins.
    private func expected(_ tokenizer: Tokenizer) throws -> (tokens: [Int32], starts: [Int]) {
        var (tokens, starts): ([Int32], [Int]) = ([], [])
        for text in texts {
            starts.append(tokens.count)
            tokens += try [#require(tokenizer.bosToken)] + tokenizer.encode(text, addSpecialTokens: false)
            tokens.append(try #require(tokenizer.eosToken))
        }
        return (tokens, starts)
    }

    /// Rows are windows of the tokenised documents, shards and threads notwithstanding.
    @Test func rowsAreTheTokenisedDocuments() throws {
        let tokenizer = try Fixtures.tokenizer()
        let (tokens, starts) = try expected(tokenizer)
        let data = try dataset(validation: .share(0))
        #expect(data.rowsPerEpoch == (tokens.count - 1) / 32 && data.reports[0].statistics.tokens == tokens.count)
        #expect(data.reports[0].statistics.documents == texts.count && tokens.count > 3000)
        var seen: Set<Int> = []
        for index in 0..<data.rowsPerEpoch {
            let row = data.row(index)
            let begin = try #require(
                stride(from: 0, to: tokens.count - 32, by: 32).first {
                    !seen.contains($0) && tokens[$0 + 1...$0 + 32].elementsEqual(row.tokens.dropFirst())
                })
            seen.insert(begin)
            // A row begins as a text does, also where it was cut from the middle of one.
            #expect(row.tokens[0] == tokenizer.bosToken)
            #expect(row.documents == [0] + starts.filter { $0 > begin && $0 < begin + 32 }.map { $0 - begin })
        }
        #expect(seen.count == data.rowsPerEpoch)
        #expect(data.validationRows.isEmpty)
    }

    @Test func rowsDependOnSeedAndIndexAlone() throws {
        let data = try dataset()
        let again = try dataset()
        #expect((0..<500).allSatisfy { data.row($0) == again.row($0) })
        #expect((0..<500).reversed().map { data.row($0) } == (0..<500).reversed().map { again.row($0) })
        #expect(data.fingerprint == again.fingerprint)
        let other = try dataset(seed: 2)
        #expect((0..<50).count { data.row($0) == other.row($0) } < 10 && data.fingerprint != other.fingerprint)
        #expect(Array(data.validationRows) == Array(other.validationRows))
        // Another epoch visits the same rows in another order.
        let count = data.rowsPerEpoch
        let epochs = (0..<2).map { epoch in (0..<count).map { data.row(epoch * count + $0).tokens } }
        #expect(epochs[0] != epochs[1])
        #expect(Set(epochs[0]) == Set(epochs[1]))
    }

    /// One thread or many, and pieces handed over in any sizes, the files are the same to the byte.
    @Test func shardsDoNotDependOnThreads() throws {
        // Enough text for many jobs.
        let long = seededDocuments(6000, seed: 9).joined(separator: "\u{1E}")
        let source = DataSource(path: try folder.write("long.txt", long))
        #expect(long.utf8.count > 1 << 20)
        var contents: [[String: Data]] = []
        for threads in [1, 2, 3, 8] {
            let cache = "\(folder.path)/threads-\(threads)"
            let data = try dataset(
                [source], cache: cache,
                options: Self.options {
                    $0.threads = threads
                    $0.shardTokens = 100_000
                })
            #expect(data.reports[0].statistics.documents == 6000)
            var files: [String: Data] = [:]
            for name in FileManager.default.enumerator(atPath: cache)?.compactMap({ $0 as? String }) ?? []
            where !name.hasSuffix(".lock") {
                files[name] = FileManager.default.contents(atPath: "\(cache)/\(name)")
            }
            #expect(files.keys.count { $0.hasSuffix(".tokens") } > 3)
            contents.append(files)
        }
        #expect(contents.allSatisfy { $0 == contents[0] })
    }

    @Test func wideTokens() throws {
        var files = try Fixtures.tokenizerFiles()
        let added = "\"added_tokens\":["
        let json = String(decoding: files.tokenizer, as: UTF8.self)
        let token =
            "{\"id\":70000,\"content\":\"lazy\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
            + "\"normalized\":false,\"special\":false},"
        files.tokenizer = Data(json.replacingOccurrences(of: added, with: added + token).utf8)
        let tokenizer = try Tokenizer(files: files)
        let (tokens, _) = try self.expected(tokenizer)
        #expect(tokens.contains(70000))
        let data = try dataset(validation: .share(0), tokenizer: tokenizer)
        let rows = Set((0..<data.rowsPerEpoch).map { data.row($0).tokens })
        var expected: Set<[Int32]> = []
        for begin in stride(from: 0, to: 32 * data.rowsPerEpoch, by: 32) {
            var row = Array(tokens[begin...begin + 32])
            row[0] = tokens[0]
            expected.insert(row)
        }
        #expect(rows == expected)
    }

    // MARK: Cache

    /// Whether a data set is made from the files, rather than from what is kept: then its shards are other files.
    private func reads(_ options: DataOptions = options(), tokenizer: Tokenizer? = nil) throws -> Bool {
        func identities() throws -> [Int?] {
            try shards().map {
                try FileManager.default.attributesOfItem(atPath: $0)[.systemFileNumber] as? Int
            }
        }
        let before = try identities()
        let data = try dataset(tokenizer: tokenizer, options: options)
        #expect(data.reports[0].statistics.documents > 0)
        return try identities() != before
    }

    private func shards() throws -> [String] {
        (FileManager.default.enumerator(atPath: cache)?.compactMap { $0 as? String } ?? [])
            .filter { $0.hasSuffix(".tokens") }.sorted().map { "\(cache)/\($0)" }
    }

    @Test func keptTokensAreTakenUp() throws {
        #expect(try reads())
        #expect(try !reads())
        #expect(try !reads(Self.options { $0.threads = 1 }))
        #expect(try reads(Self.options { $0.shardTokens = 999 }))
        #expect(try reads(Self.options { $0.onError = .skip }))
        #expect(try reads())
        // The same text, written again.
        try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1e9)], ofItemAtPath: path)
        #expect(try reads())
        #expect(try !reads())
        try folder.write("a.txt", texts.joined(separator: "\u{1E}") + " and more")
        #expect(try reads())
        // One folder of shards: what is out of date does not pile up.
        #expect(try FileManager.default.contentsOfDirectory(atPath: cache).count == 2)
        var files = try Fixtures.tokenizerFiles()
        files.tokenizer += Data(" ".utf8)
        #expect(try reads(tokenizer: Tokenizer(files: files)))
    }

    @Test func damagedShardsAreMadeAgain() throws {
        let sound = try dataset()
        let files = try shards()
        let contents = try files.map { try Data(contentsOf: URL(fileURLWithPath: $0)) }
        let manifest = URL(fileURLWithPath: files[0]).deletingLastPathComponent().appendingPathComponent(
            "manifest.json")
        let text = try String(contentsOf: manifest, encoding: .utf8)
        #expect(files.count > 2)
        func check(_ damage: () throws -> Void) throws {
            try damage()
            let data = try dataset()
            #expect(data.fingerprint == sound.fingerprint)
            #expect(try files.map { try Data(contentsOf: URL(fileURLWithPath: $0)) } == contents)
            #expect(try String(contentsOf: manifest, encoding: .utf8) == text)
        }
        func write(_ data: Data, _ file: String) throws {
            try data.write(to: URL(fileURLWithPath: file), options: .atomic)
        }
        try check {
            var bytes = contents[1]
            bytes[bytes.startIndex + bytes.count / 2] ^= 1
            try write(bytes, files[1])
        }
        try check { try write(contents[0].dropLast(1), files[0]) }
        try check { try write(Data(), files[0]) }
        try check { try write(contents[0] + [0], files[0]) }
        try check { try FileManager.default.removeItem(atPath: files[2]) }
        try check { try FileManager.default.removeItem(at: manifest) }
        try check { try write(Data("{".utf8), manifest.path) }
        for (old, new) in [
            ("\"tokens\" : 1000", "\"tokens\" : -1000"), ("\"tokens\" : 1000", "\"tokens\" : 9223372036854775807"),
            ("\"documents\" : ", "\"documents\" : 9"), ("\"version\" : 1", "\"version\" : 2"),
        ] {
            try check { try write(Data(text.replacingOccurrences(of: old, with: new).utf8), manifest.path) }
        }
    }

    @Test func stoppingLeavesNothing() throws {
        struct Stop: Error {}
        let long = seededDocuments(6000, seed: 9).joined(separator: "\u{1E}")
        let source = DataSource(path: try folder.write("long.txt", long))
        var calls = 0
        #expect(throws: Stop.self) {
            try dataset([source]) { done, total in
                calls += 1
                #expect(done <= total && total == long.utf8.count)
                if done > total / 3 { throw Stop() }
            }
        }
        #expect(calls > 0)
        let left = FileManager.default.enumerator(atPath: cache)?.compactMap { $0 as? String } ?? []
        #expect(left.allSatisfy { $0.hasSuffix(".lock") })
        // A run that was killed may have left something: it is no obstacle.
        let name = try #require(left.first).dropLast(5)
        try folder.write("cache/\(name).partial/0.tokens", "half")
        var last = 0
        _ = try dataset([source]) { done, _ in
            #expect(done >= last)
            last = done
        }
        #expect(last == long.utf8.count)
        #expect(!folder.contents.contains { $0.hasSuffix(".partial") })
    }

    @Test func severalProcessesAtOnce() async throws {
        let prints = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<4 { group.addTask { try dataset().fingerprint } }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(prints.count == 1)
    }

    // MARK: Sources

    @Test func mixtures() throws {
        let other = try folder.write(
            "b.jsonl",
            seededDocuments(40, seed: 6).map { text in
                "{\"text\":\"\(text.replacingOccurrences(of: "\n", with: "\\n"))\"}"
            }.joined(separator: "\n"))
        let sources = [DataSource(path: path, weight: 1), DataSource(path: other, weight: 3)]
        let data = try dataset(sources, validation: .share(0))
        let alone = try dataset([DataSource(path: other)], validation: .share(0))
        let rows = Set((0..<alone.rowsPerEpoch).map { alone.row($0).tokens })
        for block in 0..<2 {
            #expect((0..<1024).count { rows.contains(data.row(block * 1024 + $0).tokens) } == 768)
        }
        let error = #expect(throws: DataError.self) {
            try dataset([DataSource(path: path, weight: 1), DataSource(path: other)])
        }
        #expect(error == .weight(source: other, expected: "a weight for every source, or for none", found: "only some"))
    }

    @Test func validationFiles() throws {
        let held = try folder.write("held.txt", seededDocuments(30, seed: 8).joined(separator: "\u{1E}"))
        let data = try dataset(validation: .sources([DataSource(path: held)]))
        let alone = try dataset([DataSource(path: held)], validation: .share(0))
        #expect(data.validationRows.count == alone.rowsPerEpoch && data.validationRows.count > 10)
        #expect(Set(data.validationRows.map(\.tokens)) == Set((0..<alone.rowsPerEpoch).map { alone.row($0).tokens }))
        #expect(data.rowsPerEpoch == (data.reports[0].statistics.tokens - 1) / 32)
        let link = "\(folder.path)/link.txt"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        #expect(throws: DataError.overlap(file: link)) {
            try dataset(validation: .sources([DataSource(path: link)]))
        }
    }

    @Test func heldApartRowsAreNotTrainedOn() throws {
        // Numbers that only grow, so that no two places of the text are alike.
        let counted = try folder.write("numbers.txt", (0..<5000).map { "\($0 + 10_000)" }.joined(separator: " "))
        let data = try dataset([DataSource(path: counted)], validation: .share(0.1), length: 16)
        let held = Array(data.validationRows)
        #expect(held.count >= 8 && Set(held.map(\.tokens)).count == held.count)
        let trained = Set((0..<data.rowsPerEpoch).map { data.row($0).tokens })
        #expect(trained.count == data.rowsPerEpoch)
        let tokenizer = try Fixtures.tokenizer()
        func numbers(_ rows: some Sequence<[Int32]>) throws -> Set<String> {
            // The first and the last number of a row may be parts of one.
            Set(
                try rows.flatMap {
                    try tokenizer.decode($0).split(separator: " ").dropFirst().dropLast().map(String.init)
                })
        }
        let (seen, unseen) = (try numbers(trained), try numbers(held.map(\.tokens)))
        #expect(!unseen.isEmpty && seen.isDisjoint(with: unseen))
        #expect(held.allSatisfy { $0.tokens.count == 17 && $0.documents == [0] })
    }

    @Test func rowsOfAnotherLength() throws {
        let counted = try folder.write("numbers.txt", (0..<5000).map { "\($0 + 10_000)" }.joined(separator: " "))
        let data = try dataset([DataSource(path: counted)], validation: .share(0.1), length: 16)
        let tokenizer = try Fixtures.tokenizer()
        func numbers(_ rows: some Sequence<PackedRow>) throws -> Set<String> {
            Set(
                try rows.flatMap {
                    try tokenizer.decode($0.tokens).split(separator: " ").dropFirst().dropLast().map(String.init)
                })
        }
        let held = try numbers(data.validationRows)
        for length in [7, 100, 300] {
            let rows = try data.rows(length: length)
            let found = (0..<rows.perEpoch).map { rows[$0] }
            #expect(found.count > 5 && found.allSatisfy { $0.tokens.count == length + 1 })
            #expect(Set(found.map(\.tokens)).count == found.count)
            #expect(try numbers(found).isDisjoint(with: held))
            #expect(rows[3 * rows.perEpoch + 5] == (try data.rows(length: length))[3 * rows.perEpoch + 5])
        }
        let same = try data.rows(length: 16)
        #expect((0..<500).allSatisfy { same[$0] == data.row($0) })
        let tokens = data.reports[0].statistics.tokens
        let error = #expect(throws: DataError.self) { try data.rows(length: 4000) }
        guard case .tooFewTokens(counted, let needed, tokens) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(needed > tokens)
    }

    @Test func refusals() throws {
        let short = try folder.write("short.txt", "a few words")
        let error = #expect(throws: DataError.self) { try dataset([DataSource(path: short)]) }
        guard case .tooFewTokens(short, 97, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(throws: DataError.self) { try dataset([]) }
        #expect(throws: DataError.self) { try dataset(length: 1) }
        #expect(throws: DataError.self) { try dataset(validation: .share(.nan)) }
        #expect(throws: DataError.self) { try dataset(options: Self.options { $0.threads = 0 }) }
        #expect(throws: DataError.self) { try dataset(options: Self.options { $0.separator = "" }) }
        let file = try folder.write("file", "")
        let unwritable = #expect(throws: DataError.self) { try dataset(cache: file + "/cache") }
        guard case .unwritable = unwritable else {
            Issue.record("\(String(describing: unwritable))")
            return
        }
    }
}
