import Foundation
import TestSupport
import Testing
import Text
import Tokenizers

/// Rows that ask for what stands in them.
@Suite("Recall rows") struct RecallRowTests {
    private let folder: TemporaryFolder
    private let path: String

    init() throws {
        folder = try TemporaryFolder()
        // Words that no recall row makes of itself.
        let text = (0..<6000).map { "zq\($0 + 10_000)x\($0 % 17 == 0 ? "." : "")" }.joined(separator: " ")
        path = try folder.write("text.txt", text)
    }

    private func dataset(
        recall: Double = 0.5, length: Int = 128, seed: UInt64 = 1, validation: Validation = .share(0.1),
        tokenizer: Tokenizer? = nil
    ) throws -> TokenDataset {
        try TokenDataset(
            sources: [DataSource(path: path)], validation: validation,
            tokenizer: tokenizer ?? Fixtures.tokenizer(), length: length, seed: seed, recall: recall,
            cache: folder.path + "/cache")
    }

    /// Recall rows 0 ..< `count` with the user's own text in them.
    private func rows(_ count: Int, length: Int, tokenizer: Tokenizer) throws -> [PackedRow] {
        let text = try dataset(recall: 0, length: length, tokenizer: tokenizer)
        let rows = RecallRows(tokenizer: tokenizer, length: length, seed: 1)
        return (0..<count).map { rows.row($0) { text.row(Int($0 % 1000)) } }
    }

    // MARK: Which rows

    @Test(arguments: [(0, 0), (0.15, 154), (0.5, 512), (0.0001, 1), (0.25, 256), (0.999, 1023)])
    func share(_ share: Double, _ quota: Int) {
        let recall = RecallShare(share)
        for block in [0, 1, 2, 1000] {
            #expect((block * 1024..<(block + 1) * 1024).count { recall.contains($0) } == quota)
        }
        #expect(recall.rows(before: 0) == 0 && recall.rows(before: 5 * 1024) == 5 * quota)
        // Evenly spread: as many in any stretch as its length gives, but for one.
        for start in stride(from: 0, to: 1024, by: 37) {
            let found = recall.rows(before: start + 100) - recall.rows(before: start)
            #expect(abs(found * 1024 - 100 * quota) < 1024)
        }
    }

    @Test func textKeepsItsOrder() throws {
        let (mixed, text, share) = (try dataset(recall: 0.15), try dataset(recall: 0), RecallShare(0.15))
        var next = 0
        for index in 0..<2048 where !share.contains(index) {
            #expect(mixed.row(index) == text.row(next), "row \(index)")
            next += 1
        }
        #expect(next == 2048 - 2 * 154)
        #expect(Array(mixed.validationRows) == Array(text.validationRows) && mixed.rowsPerEpoch == text.rowsPerEpoch)
        #expect(mixed.fingerprint != text.fingerprint)
        #expect(try dataset(recall: 0.16).fingerprint != mixed.fingerprint)
        #expect(try dataset(recall: 0.15).fingerprint == mixed.fingerprint)
    }

    @Test("depend on seed and index alone")
    func pure() async throws {
        let (data, again, other) = (try dataset(), try dataset(), try dataset(seed: 2))
        let expected = (0..<400).map { data.row($0) }
        #expect((0..<400).reversed().map { again.row($0) } == expected.reversed())
        let found = await withTaskGroup(of: [(Int, PackedRow)].self) { group in
            for part in 0..<8 {
                group.addTask { stride(from: part, to: 400, by: 8).map { ($0, data.row($0)) } }
            }
            return await group.reduce(into: [Int: PackedRow]()) { rows, some in
                for (index, row) in some { rows[index] = row }
            }
        }
        #expect((0..<400).allSatisfy { found[$0] == expected[$0] })
        #expect(!(0..<400).contains { RecallShare(0.5).contains($0) && other.row($0) == expected[$0] })
        #expect(Set(expected.map(\.tokens)).count > 300)
    }

    // MARK: What they hold

    @Test(arguments: [2, 16, 63, 64, 65, 100, 127, 333, 1024, 2048])
    func lengths(_ length: Int) throws {
        let tokenizer = try Fixtures.tokenizer()
        for row in try rows(40, length: length, tokenizer: tokenizer) {
            #expect(row.tokens.count == length + 1)
            #expect(row.tokens.allSatisfy { 0..<Int32(tokenizer.vocabularySize) ~= $0 })
            let starts = row.documents
            #expect(starts.first == 0 && starts == starts.sorted() && Set(starts).count == starts.count)
            #expect(starts.allSatisfy { $0 < length })
            #expect(row.answers.allSatisfy { !$0.isEmpty && $0.upperBound <= length + 1 })
        }
    }

    private static let tokenizers = ["llama3", "qwen2", "llama2"]

    @Test("an answer is found earlier in its document", arguments: tokenizers)
    func answers(_ name: String) throws {
        let tokenizer = try Fixtures.tokenizer(name)
        for length in [128, 400, 2048] {
            let rows = try rows(2048 * 60 / length, length: length, tokenizer: tokenizer)
            var asked = 0
            for (number, row) in rows.enumerated() {
                for answer in row.answers {
                    let start = try #require(row.documents.last { $0 < answer.lowerBound })
                    #expect(row.documents.allSatisfy { $0 <= start || $0 >= answer.upperBound })
                    let before = try tokenizer.decode(Array(row.tokens[start..<answer.lowerBound]))
                    let said = try tokenizer.decode(Array(row.tokens[answer])).split {
                        !$0.isLetter && !$0.isNumber
                    }
                    // The value is the first word of the answer, or the first two.
                    let value = try #require(said.first, "row \(number)")
                    #expect(before.contains(value), "row \(number): \(value) in \(before)")
                    asked += 1
                }
            }
            #expect(asked > rows.count, "\(asked) questions in \(rows.count) rows of \(length)")
        }
    }

    @Test("keep to the rows that are trained on")
    func heldApart() throws {
        let (data, tokenizer) = (try dataset(validation: .share(0.3)), try Fixtures.tokenizer())
        func words(_ rows: some Sequence<PackedRow>) throws -> Set<Substring> {
            // The first and the last word of a row may be parts of one.
            try Set(
                rows.flatMap { row in
                    try tokenizer.decode(row.tokens).split(separator: " ").dropFirst().dropLast()
                        .filter { $0.hasPrefix("zq") && $0.hasSuffix("x") && $0.count == 8 }
                })
        }
        let recall = (0..<600).filter { RecallShare(0.5).contains($0) }.map { data.row($0) }
        let (seen, held) = (try words(recall), try words(data.validationRows))
        #expect(seen.count > 500 && held.count > 300 && seen.isDisjoint(with: held))
    }

    @Test("are in many notations, and in none that evaluation asks in")
    func notations() throws {
        let tokenizer = try Fixtures.tokenizer()
        let text = try rows(4000, length: 256, tokenizer: tokenizer).map { try tokenizer.decode($0.tokens) }
            .joined(separator: "\n")
        for sign in [
            " is ", "{\"name\": \"", "\n|---|---|\n", " = ", "': '", "set(\"", " ........ ", "name,", "name\t",
            "s:\n  ",
            "s]\n", "<entry name=\"", "<tr><td>", "INSERT INTO", "\n- ", " -> ", "\n* ", " & ", "\nA: ", "What is the ",
            "The access code of ",
        ] {
            #expect(text.contains(sign), "\(sign)")
        }
        let lower = text.lowercased()
        for frame in [
            // recall and needle.
            "the code of ", "the pass key", "pass key",
            // RULER.
            "special magic", "magic number", "is hidden within the following", "memorize and track", "var x",
            "numbered list of words", "most common words", "chain(s) of variable assignment", "coded text",
            "most frequently appeared", "assigned the value",
        ] {
            #expect(!lower.contains(frame), "\(frame)")
        }
        #expect(!text.contains("VAR "))
    }

    @Test(arguments: [-0.1, 1, 0.9995, .nan, .infinity])
    func refusals(_ share: Double) {
        #expect(
            throws: DataError.option(name: "the share of recall rows", expected: "0.0 to 0.999", found: "\(share)")
        ) { try dataset(recall: share) }
    }
}
