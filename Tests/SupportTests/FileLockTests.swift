import Foundation
import Support
import TestSupport
import Testing

@Suite("Locks that end with their process")
struct FileLockTests {
    private let folder: TemporaryFolder
    private var path: String { "\(folder.path)/lock" }

    init() throws { folder = try TemporaryFolder() }

    @Test("the second is told who holds it")
    func held() throws {
        var first: FileLock? = try FileLock(path: path)
        #expect(first?.isNew == true)
        let held = #expect(throws: FileLock.Held.self) { try FileLock(path: path) }
        #expect(held?.description.hasPrefix("process \(getpid()) on \(ProcessInfo.processInfo.hostName) since 20") == true)
        #expect(FileLock.holder(path) == held)
        first = nil
        #expect(FileLock.holder(path) == nil)
        #expect(try FileLock(path: path).isNew == false)
        #expect(first == nil)
    }

    @Test("whoever waits gets it, or stops waiting")
    func waits() throws {
        var first: FileLock? = try FileLock(path: path)
        #expect(throws: CancellationError.self) {
            try FileLock.waiting(path: path) { _ in throw CancellationError() }
        }
        var count = 0
        let second = try FileLock.waiting(path: path) { _ in
            count += 1
            if count == 2 { first = nil }
        }
        #expect(count == 2 && first == nil)
        second.remove()
        #expect(folder.contents == [])
        // The file that somebody has removed is no lock any more.
        #expect(try FileLock(path: path).isNew)
    }

    @Test("what is no lock's file stays as it is")
    func others() throws {
        try folder.write("lock", "precious")
        #expect(throws: RegularFile.Fault.self) { try FileLock(path: path) }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
        #expect(symlink("lock", "\(folder.path)/link") == 0 && mkfifo("\(folder.path)/pipe", 0o600) == 0)
        for name in ["link", "pipe", ".", "none/lock"] {
            #expect(throws: RegularFile.Fault.self, "\(name)") { try FileLock(path: "\(folder.path)/\(name)") }
        }
        // Made by an earlier version, or by a process that ended before it wrote.
        try folder.write("empty", "")
        #expect(try FileLock(path: "\(folder.path)/empty").isNew == false)
    }
}
