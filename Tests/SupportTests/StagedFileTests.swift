import Foundation
import Support
import TestSupport
import Testing

@Suite("Files and folders that are written beside their place")
struct StagedFileTests {
    private let folder: TemporaryFolder
    private let mark = Array("mark\n".utf8)

    init() throws { folder = try TemporaryFolder() }

    private func path(_ name: String) -> String { "\(folder.path)/\(name)" }
    private func text(_ name: String) -> String? { try? String(contentsOfFile: path(name), encoding: .utf8) }

    /// Expects that a file with the mark is not written to `name`, for `reason`.
    private func expectRefusal(_ name: String, _ reason: String, location: SourceLocation = #_sourceLocation) {
        let before = folder.contents
        #expect(throws: RegularFile.Fault(description: reason, code: EEXIST), sourceLocation: location) {
            try StagedFile.write(mark, to: path(name), replacing: .file(beginning: mark))
        }
        #expect(folder.contents == before, sourceLocation: location)
    }

    @Test("only what begins as it should is replaced")
    func replaces() throws {
        try StagedFile.write(mark, to: path("new"), replacing: .file(beginning: mark))
        try StagedFile.write(mark + mark, to: path("new"), replacing: .file(beginning: mark))
        #expect(text("new") == "mark\nmark\n")
        #expect(throws: RegularFile.Fault(description: "there is a file already", code: EEXIST)) {
            try StagedFile.write(mark, to: path("new"))
        }
        try folder.write("other", "precious")
        expectRefusal("other", "there is another file already")
        try folder.write("empty", "")
        expectRefusal("empty", "there is another file already")
        try folder.write("folder/file", "precious")
        expectRefusal("folder", "there is a folder already")
        #expect(mkfifo(path("pipe"), 0o600) == 0)
        expectRefusal("pipe", "there is a pipe already")
        #expect(symlink("new", path("link")) == 0 && symlink("none", path("dangling")) == 0)
        expectRefusal("link", "there is a link already")
        expectRefusal("dangling", "there is a link already")
        #expect(text("other") == "precious" && text("new") == "mark\nmark\n")
        expectRefusal("/../../../../../../../../dev/null", "there is a device already")
    }

    @Test("something that appears meanwhile stays")
    func race() throws {
        let file = try StagedFile(path: path("x"))
        try folder.write("x", "theirs")
        #expect(throws: RegularFile.Fault.self) { try file.publish() }
        let staged = try StagedFolder(path: path("y"))
        try folder.write("y/z", "theirs")
        #expect(throws: RegularFile.Fault.self) { try staged.publish() }
        staged.discard()
        file.discard()
        #expect(folder.contents == ["x", "y", "y/z"] && text("x") == "theirs")
    }

    @Test("names of any length and kind", arguments: ["a", "é", ".", "..", "a b", "-", "\u{301}", ".a", "🂡", "a/", "a//"])
    func names(_ name: String) throws {
        let isFolder = [".", "..", "a/", "a//"].contains(name)
        do {
            try StagedFile.write(mark, to: path(name))
            #expect(!isFolder && folder.contents.count == 1)
        } catch { #expect(isFolder) }
        #expect(throws: RegularFile.Fault.self) { try StagedFile.write(mark, to: "") }
        #expect(throws: RegularFile.Fault.self) { try StagedFile.write(mark, to: "/") }
    }

    @Test("a name as long as there is")
    func longName() throws {
        let name = String(repeating: "ä", count: 127)
        try StagedFile.write(mark, to: path(name))
        #expect(text(name) == "mark\n")
        #expect(throws: RegularFile.Fault.self) { try StagedFile.write(mark, to: path(name + "ä")) }
        #expect(folder.contents.count == 1)
    }

    @Test("paths")
    func paths() {
        func parts(_ path: String) -> [String] { [FilePath(path).folder, FilePath(path).name] }
        #expect(parts("a") == [".", "a"])
        #expect(parts("/a") == ["/", "a"])
        #expect(parts("b/a/") == ["b", "a"])
        #expect(parts("/c/b/a") == ["/c/b", "a"])
        #expect(parts("/") == ["/", ""])
        #expect(parts("") == [".", ""])
        #expect(parts("b/\u{301}") == ["b", "\u{301}"])
        #expect(FilePath("/a").sibling("b") == "/b" && FilePath("a").sibling("b") == "./b")
    }

    @Test("what a process that is no more has left is removed, and nothing else")
    func abandoned() throws {
        let living = try StagedFile(path: path("living"))
        let staged = try StagedFolder(path: path("staged"))
        let kept = [living.temporaryPath, staged.temporaryPath].map { URL(fileURLWithPath: $0).lastPathComponent }
        try folder.write(".x.moult-1-2.partial", "left")
        try folder.write(".y.moult-34-0.partial/model.safetensors", "left")
        let others = [
            ".partial", ".x.partial", ".x.moult-1.partial", ".x.moult-a-1.partial", "x.moult-1-2.partial", ".x.moult--1.partial",
            ".x.moul-1-2.partial",
        ]
        for name in others { try folder.write(name, "theirs") }
        try StagedFile.write(mark, to: path("z"))
        #expect(folder.contents == (others + kept + ["z"]).sorted())
    }

    @Test("folders above are made, and removed again when nothing comes of it")
    func parents() throws {
        try folder.write("a/file", "")
        var staged: StagedFolder? = try StagedFolder(path: path("a/b/c/d"))
        #expect(folder.contents.contains("a/b/c"))
        staged = nil
        #expect(staged == nil && folder.contents == ["a", "a/file"])
        let published = try StagedFolder(path: path("a/b/c/d"))
        try StagedFile.write(mark, to: "\(published.temporaryPath)/x")
        try published.publish()
        #expect(folder.contents == ["a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/x", "a/file"])
        #expect(throws: RegularFile.Fault.self) { try StagedFolder(path: path("a/file/b/c")) }
        #expect(throws: RegularFile.Fault.self) { try StagedFolder(path: path("a/b")) }
    }
}
