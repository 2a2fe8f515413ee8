import Foundation
import TestSupport
import Testing
import Text

/// Every format gives the texts that its reference implementation wrote.
@Suite struct ReaderTests {
    private static let variants = ["1", "2"].flatMap { page in
        ["plain", "dictionary"].flatMap { encoding in
            ["none", "snappy", "zstd"].map { "v\(page)-\(encoding)-\($0)" }
        }
    }

    private static let encodings = ["delta_length_byte_array", "delta_byte_array"]

    @Test(
        arguments: variants + encodings + ["format1-dictionary", "dictionary-then-plain", "gzip", "brotli", "lz4"])
    func parquet(name: String) throws {
        let name = name.hasPrefix("v") || Self.encodings.contains(name) ? name + "-required" : name
        let expected = try Fixtures.documents().texts
        let read = try ReadDocuments([Fixtures.path("\(name).parquet")])
        #expect(read.texts == expected.filter { !$0.isEmpty })
        #expect(read.statistics.emptyDocuments == expected.count { $0.isEmpty })
        #expect(read.statistics.documents == read.texts.count && read.statistics.skipped == 0)
        #expect(read.statistics.textBytes == expected.reduce(0) { $0 + $1.utf8.count })
        // 28 rows in groups of 17.
        let last = name == "dictionary-then-plain" ? DataPlace.row(rowGroup: 1, row: 28) : .row(rowGroup: 2, row: 11)
        #expect(read.pieces.last?.place == last)
    }

    @Test(arguments: variants + encodings)
    func parquetWithMissingValues(name: String) throws {
        let path = Fixtures.path("\(name)-optional.parquet")
        let expected = try Fixtures.documents().holes
        #expect(
            throws: DataError.missingText(
                file: path, place: .row(rowGroup: 1, row: 2), key: "text", found: "null")
        ) { try ReadDocuments([path]) }
        let read = try ReadDocuments([path], .with { $0.onError = .skip })
        #expect(read.texts == expected.compactMap { $0 }.filter { !$0.isEmpty })
        #expect(read.statistics.skipped == expected.count { $0 == nil })
        #expect(
            read.statistics.problems.first == "\(path): row group 1, row 2: expected text under \"text\", "
                + "found null; name another key or column, or skip what cannot be read")
    }

    @Test func parquetGroups() throws {
        let holes = try Fixtures.documents().holes
        let expected = holes.enumerated().compactMap { $0.offset % 3 == 0 ? nil : $0.element }.filter { !$0.isEmpty }
        let options = DataOptions.with {
            $0.textKey = "record.text"
            $0.onError = .skip
        }
        #expect(try ReadDocuments([Fixtures.path("nested.parquet")], options).texts == expected)
    }

    @Test func oldLZ4() throws {
        let text = String(repeating: "a text of more than a hundred bytes, and more, ", count: 5)
        #expect(try ReadDocuments([Fixtures.path("hadoop-lz4.parquet")]).texts == [text])
    }

    @Test(arguments: ["zst", "gz"])
    func compressedLines(ending: String) throws {
        let expected = try Fixtures.documents().texts
        let read = try ReadDocuments([Fixtures.path("documents.jsonl.\(ending)")])
        #expect(read.texts == expected.filter { !$0.isEmpty })
        #expect(read.pieces.last?.place == .line(expected.count))
    }

    /// The frame asks for a window of 2 GiB, as zstd --long=31 does.
    @Test func longWindow() throws {
        #expect(try ReadDocuments([Fixtures.path("long-window.txt.zst")]).texts == ["Document 0: "])
    }

    @Test func damagedGzip() throws {
        let folder = try TemporaryFolder()
        let sound = try Fixtures.bytes("documents.jsonl.gz")
        let short = try folder.write("a.jsonl.gz", sound.prefix(300))
        #expect(throws: DataError.self) { try ReadDocuments([short]) }
        let other = try folder.write("b.jsonl.gz", sound + [1, 2, 3])
        let error = #expect(throws: DataError.self) { try ReadDocuments([other]) }
        #expect(error?.description.contains("damaged gzip data") == true)
        let none = try folder.write("c.jsonl.gz", "{}")
        #expect(throws: DataError.self) { try ReadDocuments([none]) }
    }

    @Test func plainLines() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            "a.jsonl", "{\"text\":\"one\"}\r\n\n  \n{\"x\":{},\"text\":\"t\\u00e9\\ud83e\\udd8a\"}")
        let read = try ReadDocuments([path])
        #expect(read.texts == ["one", "té🦊"])
        #expect(read.pieces.map(\.place) == [.line(1), .line(4)])
        let other = try folder.write("b.jsonl", "{\"content\":\"one\"}")
        #expect(try ReadDocuments([other], .with { $0.textKey = "content" }).texts == ["one"])
    }

    @Test func wholeTextFile() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("a.txt", "one\n\ntwo\n")
        #expect(try ReadDocuments([path]).texts == ["one\n\ntwo\n"])
        #expect(try ReadDocuments([path, path]).texts.count == 2)
    }

    @Test(arguments: [64, 100, 1 << 20])
    func separators(limit: Int) throws {
        let folder = try TemporaryFolder()
        let texts = seededDocuments(200, seed: 1).map { $0 + "\n" }
        let path = try folder.write("a.txt", texts.joined(separator: "<|end|>\n"))
        let options = DataOptions.with {
            $0.separator = "<|end|>\n"
            $0.maximumPieceBytes = limit
        }
        let read = try ReadDocuments([path], options)
        #expect(read.texts == texts)
        #expect(read.pieces.allSatisfy { $0.text.count <= limit })
        #expect(read.statistics.cutDocuments == texts.count { $0.utf8.count > limit })
        // Each document's line is where it begins in the file.
        var line = 1
        for (text, piece) in zip(texts, read.pieces) where limit > 1000 {
            #expect(piece.place == .line(line))
            line += text.count { $0 == "\n" } + 1
        }
    }

    /// Documents of every format are cut alike, never within a character, and stay one document.
    @Test(arguments: ["a.txt", "a.jsonl"])
    func longDocuments(name: String) throws {
        let folder = try TemporaryFolder()
        let words = String(repeating: "日本語 ", count: 500)
        let solid = String(repeating: "語🦊é", count: 500)
        for text in [words, solid, words + solid, String(repeating: "line one\n", count: 300)] {
            let line = "{\"text\":\"\(text.replacingOccurrences(of: "\n", with: "\\n"))\"}\n"
            let path = try folder.write(name, name == "a.txt" ? text : line)
            let read = try ReadDocuments([path], .with { $0.maximumPieceBytes = 101 })
            #expect(read.texts == [text])
            #expect(read.statistics.documents == 1 && read.statistics.cutDocuments == 1)
            #expect(read.pieces.count >= text.utf8.count / 101)
            for piece in read.pieces {
                #expect(piece.text.count <= 101 && String(validating: piece.text, as: UTF8.self) != nil)
            }
        }
    }

    @Test func snappyKnownBytes() {
        // "abcd", a copy of 8 bytes from 4 back that overlaps itself, and one from 12 back of length 4.
        let block: [UInt8] = [16, 3 << 2, 0x61, 0x62, 0x63, 0x64, 4 << 2 | 1, 4, 3 << 2 | 2, 12, 0]
        #expect(Snappy.decompress(block[...], size: 16) == Array("abcdabcdabcdabcd".utf8))
        #expect(Snappy.decompress(block[...], size: 15) == nil)
        for length in 0..<block.count { #expect(Snappy.decompress(block[..<length], size: 16) == nil) }
        #expect(Snappy.decompress([4, 0 << 2, 0x61, 1, 2][...], size: 4) == nil, "a copy from before the start")
        #expect(Snappy.decompress([255, 255, 255, 255, 255, 1][...], size: 1) == nil)
    }
}
