import Foundation
import TestSupport
import Testing
import Text

/// Which files a source names.
@Suite struct SourceTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for name in [
            "b.txt", "a.jsonl", "sub/c.parquet", "sub/deep/d.jsonl.zst", "notes.md", ".hidden.txt", ".git/e.txt",
        ] {
            try folder.write(name, "x")
        }
    }

    private func files(_ path: String) throws -> [String] {
        try DataSource(path: "\(folder.path)/\(path)").files().map { String($0.dropFirst(folder.path.count + 1)) }
    }

    @Test func filesFoldersAndPatterns() throws {
        #expect(try files("b.txt") == ["b.txt"])
        #expect(try DataSource(path: folder.path).files().count == 4)
        #expect(try files("sub") == ["sub/c.parquet", "sub/deep/d.jsonl.zst"])
        #expect(try files("sub/") == ["sub/c.parquet", "sub/deep/d.jsonl.zst"])
        #expect(try files("*") == ["a.jsonl", "b.txt", "sub/c.parquet", "sub/deep/d.jsonl.zst"])
        #expect(try files("[ab].*") == ["a.jsonl", "b.txt"])
        #expect(try files("*/*/?.jsonl.zst") == ["sub/deep/d.jsonl.zst"])
    }

    @Test func nothingFound() throws {
        let path = "\(folder.path)/*.txt.gz"
        #expect(throws: DataError.noMatch(pattern: path, reason: "nothing matches")) {
            try DataSource(path: path).files()
        }
        let error = #expect(throws: DataError.self) { try files("*.md") }
        #expect(
            error?.description.contains(
                "no file there ends in .txt, .jsonl, .ndjson (these also with .zst or .gz) or .parquet") == true)
        #expect(throws: DataError.self) { try files("notes.md") }
        #expect(throws: DataError.self) { try files("missing.txt") }
    }

    @Test func weights() throws {
        #expect(try DataSource(parsing: "a.txt") == DataSource(path: "a.txt"))
        #expect(try DataSource(parsing: "a.txt=2.5") == DataSource(path: "a.txt", weight: 2.5))
        #expect(try DataSource(parsing: "a=b.txt") == DataSource(path: "a=b.txt"))
        let named = try folder.write("x=3", "")
        #expect(try DataSource(parsing: named) == DataSource(path: named))
        for text in ["a=0", "a=-1", "a=inf", "a=nan"] {
            #expect(throws: DataError.self) { try DataSource(parsing: text) }
        }
    }
}
