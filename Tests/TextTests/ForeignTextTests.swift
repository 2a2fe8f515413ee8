import Foundation
import TestSupport
import Testing
import Text

/// Text as other people's programs write it, read as Python reads it.
@Suite struct ForeignTextTests {
    private static let mark = "\u{FEFF}"

    private func texts(_ name: String, _ bytes: some Collection<UInt8>, _ options: DataOptions = DataOptions()) throws
        -> [String]
    {
        let folder = try TemporaryFolder()
        return try ReadDocuments([folder.write(name, bytes)], options).texts
    }

    @Test func marksAndLineEndsOfWindows() throws {
        let lines = Self.mark + "{\"text\": \"é\"}\r\n{\"text\": \"b\\r\\n\"}\r\n"
        #expect(try texts("a.jsonl", lines.utf8) == ["é", "b\r\n"])
        #expect(try texts("a.txt", (Self.mark + "one\r\ntwo\rthree\r\n\r\n\r").utf8) == ["one\ntwo\rthree\n\n\r"])
        // No more than the mark.
        #expect(try texts("a.txt", (Self.mark + "x" + Self.mark).utf8) == ["x" + Self.mark])
        let options = DataOptions.with { $0.separator = "\n\n" }
        #expect(try texts("a.txt", "one\r\n\r\ntwo".utf8, options) == ["one", "two"])
    }

    /// A line end that two reads part is one all the same.
    @Test func lineEndsBetweenReads() throws {
        let text = String(repeating: "a", count: (1 << 18) - 1) + "\r\nb"
        #expect(try texts("a.txt", text.utf8) == [text.replacing("\r\n", with: "\n")])
    }

    @Test(arguments: [
        (String.Encoding.utf16LittleEndian, [UInt8](), "UTF-16LE"), (.utf16BigEndian, [], "UTF-16BE"),
        (.utf16LittleEndian, [0xFF, 0xFE], "UTF-16"), (.utf16BigEndian, [0xFE, 0xFF], "UTF-16"),
        (.utf32LittleEndian, [0xFF, 0xFE, 0, 0], "UTF-32"),
    ])
    func otherEncodingsByName(encoding: String.Encoding, mark: [UInt8], name: String) throws {
        for file in ["a.txt", "a.jsonl"] {
            let bytes = try #require("{\"text\": \"one\"}\r\n".data(using: encoding))
            let error = #expect(throws: DataError.self) { try texts(file, mark + bytes) }
            #expect(
                error?.description.hasSuffix(
                    "\(file): expected UTF-8 text, found \(name); convert it with: iconv -f \(name) -t UTF-8") == true)
        }
    }

    @Test(arguments: [
        #"{"a": NaN, "b": [Infinity, -Infinity, 1e999], "text": "t"}"#, #"{"a": "\ud800", "text": "t"}"#,
        #"{"\udc00": 1, "a": "\ud800\u0041\ud83e\udd8a", "text": "t"}"#, #"{"a": 1, "a": 2, "text": "t"}"#,
        #"{"text": "s", "text": "t"}"#, #"{"text": "\ud800", "text": "t"}"#, #"{"text": null, "text": "t"}"#,
        #"{"a": 123456789012345678901234567890, "text": "t"}"#,
        #"{"a": \#(String(repeating: "[", count: 300) + String(repeating: "]", count: 300)), "text": "t"}"#,
    ])
    func linesAsPythonReadsThem(line: String) throws {
        #expect(try texts("a.jsonl", line.utf8) == ["t"])
    }

    @Test(arguments: [
        #"{"text": "a\ud800"}"#, #"{"text": "t", "text": "\udc00"}"#, #"{"text": "t", "a": nan}"#,
        #"{"text": "t", "a": -Infinit}"#, #"{"text": "t", "a": "\ud8"}"#, #"{"text": "t"} {"text": "u"}"#,
        #"{"text": "t", "text": 1}"#, "NaN",
    ])
    func whatNobodyCanUse(line: String) throws {
        let error = #expect(throws: DataError.self) { try texts("a.jsonl", ("{\"text\":\"x\"}\n" + line).utf8) }
        #expect(error?.description.contains("line 2") == true)
    }

    @Test func longLines() throws {
        let line = "{\"text\": \"\(String(repeating: "x", count: 200))\"}"
        #expect(throws: DataError.self) { try texts("a.jsonl", line.utf8, .with { $0.maximumLineBytes = 100 }) }
        #expect(try texts("a.jsonl", line.utf8, .with { $0.maximumLineBytes = 300 }).count == 1)
    }

    // MARK: Links

    @Test func linkedFilesFoldersAndPatterns() throws {
        let folder = try TemporaryFolder()
        try folder.write("blobs/0a", "{\"text\": \"one\"}\n")
        let manager = FileManager.default
        try manager.createDirectory(atPath: "\(folder.path)/snap/data", withIntermediateDirectories: true)
        try manager.createSymbolicLink(
            atPath: "\(folder.path)/snap/data/a.jsonl", withDestinationPath: "../../blobs/0a")
        try manager.createSymbolicLink(atPath: "\(folder.path)/linked", withDestinationPath: "snap")
        // Links in a circle end.
        try manager.createSymbolicLink(atPath: "\(folder.path)/snap/data/up", withDestinationPath: "..")
        try manager.createDirectory(atPath: "\(folder.path)/outer", withIntermediateDirectories: true)
        try manager.createSymbolicLink(atPath: "\(folder.path)/outer/inner", withDestinationPath: "../snap")
        for path in ["snap/data/a.jsonl", "snap/data", "linked", "linked/", "linked/data/*.jsonl", "outer"] {
            let files = try DataSource(path: "\(folder.path)/\(path)").files()
            #expect(files.count == 1 && files[0].hasSuffix("data/a.jsonl"), "\(path): \(files)")
            #expect(try DataFile(path: files[0]).size == 16)
        }
        let before = try DataFile(path: "\(folder.path)/snap/data/a.jsonl")
        try folder.write("blobs/0b", "{\"text\": \"two\"}\n")
        let date = try #require(manager.attributesOfItem(atPath: "\(folder.path)/blobs/0a")[.modificationDate])
        try manager.setAttributes([.modificationDate: date], ofItemAtPath: "\(folder.path)/blobs/0b")
        try manager.removeItem(atPath: before.path)
        try manager.createSymbolicLink(atPath: before.path, withDestinationPath: "../../blobs/0b")
        #expect(try DataFile(path: before.path) != before)
    }

    @Test func dataSetsOfTheCacheByTheirLatestRevision() throws {
        let folder = try TemporaryFolder()
        let set = "datasets--org--set"
        try folder.write("\(set)/refs/main", "new")
        try folder.write("\(set)/snapshots/old/a.jsonl", "x")
        try folder.write("\(set)/snapshots/new/a.jsonl", "x")
        #expect(
            try DataSource(path: "\(folder.path)/\(set)").files() == ["\(folder.path)/\(set)/snapshots/new/a.jsonl"])
    }
}
