import Foundation
import TestSupport
import Testing
import Text

/// What is damaged is refused with its place, or skipped and counted, with what is sound around it kept.
@Suite struct RefusalTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let skipping = DataOptions.with { $0.onError = .skip }

    @Test(arguments: [
        ("{\"text\":\"a\"", "line 2, byte 11: not valid JSON: unexpected end"),
        ("{\"text\":1}", "line 2: expected text under \"text\", found 1"),
        ("{\"content\":\"a\"}", "line 2: expected text under \"text\", found no such key"),
        ("[\"text\"]", "line 2: expected text under \"text\", found an array of 1"),
        ("{\"text\":\"\\ud800\"}", "line 2, byte 8: not valid JSON: half of a surrogate pair"),
        (
            "{\"text\":\"" + String(repeating: "x", count: 200) + "\"}",
            "line 2: the line's length in bytes (maximumLineBytes) is 211, the limit is 128"
        ),
    ])
    func lines(line: String, problem: String) throws {
        let path = try folder.write("a.jsonl", "{\"text\":\"before\"}\n\(line)\n{\"text\":\"after\"}\n")
        var options = DataOptions.with { $0.maximumLineBytes = 128 }
        let error = #expect(throws: DataError.self) { try ReadDocuments([path], options) }
        #expect(error?.description.hasPrefix("\(path): \(problem)") == true, "\(String(describing: error))")
        options.onError = .skip
        let read = try ReadDocuments([path], options)
        #expect(read.texts == ["before", "after"] && read.statistics.skipped == 1)
        #expect(read.statistics.problems == [error?.description])
    }

    /// A line far above the limit is passed over in parts.
    @Test func hugeLine() throws {
        let line = [UInt8](repeating: 0x78, count: 3 << 20)
        let path = try folder.write(
            "a.jsonl", Array("{\"text\":\"before\"}\n".utf8) + line + Array("\n{\"text\":\"after\"}".utf8))
        let options = DataOptions.with {
            $0.maximumLineBytes = 1000
            $0.onError = .skip
        }
        let read = try ReadDocuments([path], options)
        #expect(read.texts == ["before", "after"] && read.statistics.skipped == 1)
        #expect(read.pieces.last?.place == .line(3))
    }

    @Test func textThatIsNotUTF8() throws {
        let bytes = Array("one\ntwo\n".utf8) + [0xFF] + Array("\n--\nthree".utf8)
        let path = try folder.write("a.txt", bytes)
        var options = DataOptions.with { $0.separator = "--\n" }
        #expect(throws: DataError.notUTF8(file: path, place: .line(3))) { try ReadDocuments([path], options) }
        options.onError = .skip
        let read = try ReadDocuments([path], options)
        #expect(read.texts == ["three"] && read.statistics.skipped == 1)
        let line = try folder.write("a.jsonl", Array("{\"text\":\"".utf8) + [0xC3] + Array("\"}".utf8))
        #expect(throws: DataError.json(file: line, line: 1, offset: 9, problem: "string is not UTF-8")) {
            try ReadDocuments([line])
        }
    }

    /// A document that is damaged in a later piece ends there, and does not run into the next.
    @Test func damageInsideALongDocument() throws {
        let bytes = Array(String(repeating: "word ", count: 40).utf8) + [0xFF] + [UInt8](repeating: 0x61, count: 300)
        let path = try folder.write("a.txt", bytes + Array("--second".utf8))
        let options = DataOptions.with {
            $0.separator = "--"
            $0.maximumPieceBytes = 64
            $0.onError = .skip
        }
        let read = try ReadDocuments([path], options)
        #expect(read.texts.count == 2 && read.texts.last == "second" && read.statistics.skipped == 1)
        #expect(String(repeating: "word ", count: 40).hasPrefix(read.texts[0]))
    }

    @Test(arguments: ["a.txt", "a.jsonl"])
    func emptyFiles(name: String) throws {
        let path = try folder.write(name, "")
        let other = try folder.write("sound.txt", "text")
        #expect(throws: DataError.empty(file: path)) { try ReadDocuments([path, other]) }
        let read = try ReadDocuments([path, other], Self.skipping)
        #expect(read.texts == ["text"] && read.statistics.skipped == 1)
    }

    @Test func emptyParquet() throws {
        let path = Fixtures.path("empty.parquet")
        #expect(throws: DataError.empty(file: path)) { try ReadDocuments([path]) }
    }

    @Test func filesThatCannotBeOpened() throws {
        #expect(throws: DataError.unreadable(file: "/nowhere.txt", reason: "No such file or directory")) {
            try DataFile(path: "/nowhere.txt")
        }
        try FileManager.default.createDirectory(atPath: "\(folder.path)/b.txt", withIntermediateDirectories: true)
        #expect(throws: DataError.unreadable(file: "\(folder.path)/b.txt", reason: "it is not a regular file")) {
            try ReadDocuments(["\(folder.path)/b.txt"])
        }
    }

    @Test func damagedZstandard() throws {
        let sound = try Fixtures.bytes("documents.jsonl.zst")
        let cut = try folder.write("cut.jsonl.zst", sound.dropLast(20))
        let error = #expect(throws: DataError.self) { try ReadDocuments([cut]) }
        #expect(
            error
                == .compression(
                    file: cut, place: .byte(sound.count - 20), codec: "zstd", reason: "it ends inside a frame"))
        // The first frame's nine or more whole lines are kept, the rest is one problem.
        let read = try ReadDocuments([cut], Self.skipping)
        #expect(read.texts.count >= 9 && read.statistics.skipped == 1)
        let garbage = try folder.write("b.txt.zst", "this is no zstd frame")
        #expect(throws: DataError.self) { try ReadDocuments([garbage]) }
        var flipped = sound
        flipped[sound.count - 30] ^= 0x10
        let damaged = try folder.write("c.jsonl.zst", flipped)
        #expect(throws: DataError.self) { try ReadDocuments([damaged]) }
    }

    @Test func missingLibrary() throws {
        let error = #expect(throws: DataError.self) {
            try Zstandard(library: "libnothere.so.7", for: "a.jsonl.zst")
        }
        #expect(
            error?.description == "a.jsonl.zst: reading it needs libnothere.so.7, which is not installed; "
                + "install the package libzstd1")
        // No policy passes over it.
        #expect(error?.isDamage == false)
    }

    @Test(arguments: [
        ("refused-list", "text", "found the columns text.list.element"),
        ("refused-list", "text.list.element", "unsupported column text.list.element a list"),
        ("refused-integers", "text", "unsupported column text INT64; supported: a column of text (BYTE_ARRAY)"),
        (
            "refused-calls", "text",
            "unsupported column messages.list.element.tool_calls.list.element a list or a group within a message"
        ),
        ("v1-plain-none-required", "words", "expected text under \"words\", found the columns id, text"),
        ("v1-plain-none-required", "id", "unsupported column id INT64"),
        ("nested", "record", "found the columns record.text"),
    ])
    func unsupportedParquet(name: String, column: String, problem: String) throws {
        let path = Fixtures.path("\(name).parquet")
        let error = #expect(throws: DataError.self) {
            try ReadDocuments([path], .with { $0.textKey = column })
        }
        #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
    }

    @Test func parquetEnds() throws {
        let sound = try Fixtures.bytes("v1-plain-snappy-required.parquet")
        let short = try folder.write("a.parquet", [0x50, 0x41])
        #expect(
            throws: DataError.truncated(file: short, place: .footer, part: "the footer", needed: 8, available: 2)
        ) { try ReadDocuments([short]) }
        let cut = try folder.write("b.parquet", sound.dropLast(1))
        #expect(
            throws: DataError.malformed(
                file: cut, place: .file, part: "first and last bytes", expected: "PAR1", found: "others")
        ) { try ReadDocuments([cut]) }
        var huge = sound
        huge.replaceSubrange((sound.count - 8)..<(sound.count - 4), with: [0xFF, 0xFF, 0xFF, 0x7F])
        let long = try folder.write("c.parquet", huge)
        #expect(
            throws: DataError.tooLarge(
                file: long, place: .footer, part: "its length in bytes", limit: 16 << 20, found: 0x7FFF_FFFF)
        ) { try ReadDocuments([long]) }
        huge.replaceSubrange((sound.count - 8)..<(sound.count - 4), with: [0xFF, 0xFF, 0, 0])
        let longer = try folder.write("d.parquet", huge)
        #expect(
            throws: DataError.truncated(
                file: longer, place: .footer, part: "the footer", needed: 0xFFFF, available: sound.count - 12)
        ) { try ReadDocuments([longer]) }
    }

    /// A damaged row group costs its rows, and no other's.
    @Test func parquetDamageInOneGroup() throws {
        var bytes = try Fixtures.bytes("v1-plain-snappy-required.parquet")
        let texts = try Fixtures.documents().texts
        // The text's first page begins behind the numbers of the first group; its header's type is 0 with this tag.
        let needle = try #require(bytes.firstRange(of: Array("Document 0".utf8)))
        bytes[needle.lowerBound - 1] = 0xFF
        let path = try folder.write("a.parquet", bytes)
        #expect(throws: DataError.self) { try ReadDocuments([path]) }
        let read = try ReadDocuments([path], Self.skipping)
        #expect(read.texts == texts.dropFirst(17).filter { !$0.isEmpty })
        #expect(read.statistics.skipped == 1)
    }
}
