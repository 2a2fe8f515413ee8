import Foundation
import TestSupport
import Testing
import Text
import Tokenizers

@Suite("Documents as tokens")
struct DocumentTokensTests {
    @Test("are those of the rows to train on, whatever the format, the folder and the threads")
    func asInTraining() throws {
        let (folder, tokenizer) = (try TemporaryFolder(), try Fixtures.tokenizer())
        let texts = seededDocuments(40, seed: 3)
        let lines = try texts.map { String(decoding: try JSONEncoder().encode(["text": $0]), as: UTF8.self) + "\n" }
        try folder.write("lines/a.jsonl", lines[..<25].joined())
        try folder.write("lines/b.jsonl.gz", gzipped(lines[25...].joined().utf8))
        var (tokens, starts): ([Int32], [Int]) = ([], [])
        for text in texts {
            starts.append(tokens.count)
            let end = try #require(tokenizer.eosToken)
            tokens += [2000] + (try tokenizer.encode(text, addSpecialTokens: false)) + [end]
        }
        for threads in [1, 3] {
            let found = try DocumentTokens(
                DataSource(path: "\(folder.path)/lines"), tokenizer: tokenizer, options: .with { $0.threads = threads })
            #expect(found.tokens == tokens && found.starts == starts && found.isWhole)
        }
        let row = try TokenDataset(
            sources: [DataSource(path: "\(folder.path)/lines")], validation: .share(0), tokenizer: tokenizer,
            length: tokens.count - 1, seed: 0, cache: "\(folder.path)/cache"
        ).row(0)
        #expect(row.tokens == tokens && row.documents == starts)
    }

    @Test("end at a limit, and say so")
    func limit() throws {
        let (folder, tokenizer) = (try TemporaryFolder(), try Fixtures.tokenizer())
        try folder.write("a.jsonl", String(repeating: "{\"text\": \"one two\"}\n", count: 9))
        let source = DataSource(path: "\(folder.path)/a.jsonl")
        let whole = try DocumentTokens(source, tokenizer: tokenizer)
        let size = whole.tokens.count / 9
        for limit in [1, size, size + 1, 9 * size - 1] {
            let part = try DocumentTokens(source, tokenizer: tokenizer, limit: limit)
            #expect(part.tokens == Array(whole.tokens.prefix(limit)) && !part.isWhole)
            #expect(part.starts == whole.starts.filter { $0 < limit })
        }
        #expect(try DocumentTokens(source, tokenizer: tokenizer, limit: 9 * size).isWhole)
    }

    @Test("are told from a text by the name")
    func texts() throws {
        let folder = try TemporaryFolder()
        for name in ["a", "a.txt", "a.TXT.gz", "a.md", "a.jsonl", "a.ndjson.zst", "a.parquet", "[a].txt"] {
            try folder.write(name, "x")
        }
        func isText(_ name: String) -> Bool { DataSource.isText("\(folder.path)/\(name)") }
        #expect(["a", "a.txt", "a.TXT.gz", "a.md", "[a].txt", "absent", "absent.jsonl"].allSatisfy(isText))
        #expect(!["", "a.jsonl", "a.ndjson.zst", "a.parquet", "*.txt", "a?", "[b]"].contains(where: isText))
    }
}

@Suite("Whole text files")
struct TextFileTests {
    @Test("are the same when they are compressed")
    func compressed() throws {
        let folder = try TemporaryFolder()
        let text = "\u{FEFF}é\r\n" + String(repeating: "one ☃ two\n", count: 20_000)
        let expected = "é\n" + String(repeating: "one ☃ two\n", count: 20_000)
        #expect(try TextFile.read(folder.write("a.txt", text)) == expected)
        #expect(try TextFile.read(folder.write("a.gz", gzipped(text.utf8))) == expected)
        #expect(TextFile.found("\(folder.path)/a") == "\(folder.path)/a.gz")
        #expect(TextFile.found("\(folder.path)/b") == nil)
    }

    @Test("are refused where they are no text")
    func refused() throws {
        let folder = try TemporaryFolder()
        func message(_ path: String) throws -> String? {
            (#expect(throws: DataError.self) { try TextFile.read(path) })?.description
        }
        let latin = try folder.write("latin.txt", [0x63, 0x61, 0x66, 0xE9, 0x20])
        #expect(
            try message(latin)
                == "\(latin): expected UTF-8 text, found what is none at byte 3; convert the text first")
        #expect(
            try message(folder.path)
                == "\(folder.path): cannot be read: a regular file is expected; this is a folder; expected a UTF-8 text file"
        )
        let cut = try folder.write("cut.gz", gzipped("some words".utf8).dropLast(9))
        #expect(try message(cut)?.hasPrefix("\(cut): byte") == true)
    }
}

@Suite("JSON lines")
struct JSONLinesTests {
    @Test("are read as Python reads them, with their numbers")
    func values() throws {
        let folder = try TemporaryFolder()
        let text = "\u{FEFF}{\"a\": NaN, \"a\": 1}\r\n \t\n[2]\n\n\"x\""
        for path in [try folder.write("a.jsonl", text), try folder.write("a.jsonl.gz", gzipped(text.utf8))] {
            var lines = try JSONLines(path: path)
            #expect(try lines.next() == ["a": 1] && lines.line == 1)
            #expect(try lines.next() == [2] && lines.line == 3)
            #expect(try lines.next() == "x" && lines.line == 5)
            #expect(try lines.next() == nil)
        }
    }

    @Test("with damage are refused by their numbers, and what follows is read")
    func damage() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("a.jsonl", "{\"a\": 1\n{\"a\": [\"\\ud800\"]}\n3\n")
        var lines = try JSONLines(path: path)
        #expect(throws: DataError.json(file: path, line: 1, offset: 7, problem: "unexpected end")) {
            try lines.next()
        }
        #expect(
            throws: DataError.json(file: path, line: 2, offset: 5, problem: "half of a surrogate pair in the text")
        ) { try lines.next() }
        #expect(try lines.next() == 3)
    }
}
