import Foundation
import Support
import TestSupport
import Testing

@Suite("Only regular files are read") struct RegularFileTests {
    @Test("a file's contents, whatever its size")
    func contents() throws {
        let folder = try TemporaryFolder()
        for size in [0, 1, 100_000] {
            let data = Data((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            #expect(try RegularFile.contents(folder.write("file", data)) == data)
        }
    }

    @Test("what may wait for ever is refused at once, and by its name", .timeLimit(.minutes(1)))
    func refused() throws {
        let folder = try TemporaryFolder()
        let pipe = "\(folder.path)/pipe"
        try #require(mkfifo(pipe, 0o600) == 0)
        for (path, kind) in [(pipe, "a pipe"), ("/dev/zero", "a device"), (folder.path, "a folder")] {
            #expect(throws: RegularFile.Fault(description: "a regular file is expected; this is \(kind)")) {
                try RegularFile.contents(path)
            }
        }
        #expect(throws: RegularFile.Fault(ENOENT)) { try RegularFile.contents("\(folder.path)/none") }
    }

    @Test("a file that is too large is refused by its size")
    func limit() throws {
        let path = try TemporaryFolder().write("file", Data(count: 11))
        #expect(throws: RegularFile.Fault.self) { try RegularFile.contents(path, limit: 10) }
    }
}
