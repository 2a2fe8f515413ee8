import Foundation
import Support
import TestSupport
import Testing

@Suite("Texts come from files, and from pipes that somebody writes to") struct ContentsOrPipeTests {
    @Test("what a writer puts into a pipe, until it closes it", .timeLimit(.minutes(1)))
    func pipe() throws {
        let pipe = Pipe()
        let text = Data(String(repeating: "text ", count: 40_000).utf8)
        Thread.detachNewThread {
            pipe.fileHandleForWriting.write(text)
            try? pipe.fileHandleForWriting.close()
        }
        #expect(try RegularFile.contentsOrPipe("/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)") == text)
    }

    @Test("a pipe that nobody writes to, and a device, do not wait", .timeLimit(.minutes(1)))
    func refused() throws {
        let folder = try TemporaryFolder()
        let pipe = "\(folder.path)/pipe"
        try #require(mkfifo(pipe, 0o600) == 0)
        #expect(throws: RegularFile.Fault(description: "a text is expected; this is a pipe that nobody writes to")) {
            try RegularFile.contentsOrPipe(pipe)
        }
        #expect(throws: RegularFile.Fault(description: "a regular file is expected; this is a device")) {
            try RegularFile.contentsOrPipe("/dev/zero")
        }
        #expect(try RegularFile.contentsOrPipe(folder.write("file", "text")) == Data("text".utf8))
    }
}
