import Foundation

/// A lock that a process holds on a file: the system releases it when the process ends, however that ends. The file says
/// who holds it.
package final class FileLock: Sendable {
    /// Another process holds the lock.
    package struct Held: Error, Equatable, CustomStringConvertible {
        /// "process 123 on HOST since 2026-01-31 12:00:00 UTC".
        package let description: String
    }

    package let path: String
    /// Whether there was no such file before.
    package let isNew: Bool
    private let descriptor: Descriptor
    private static let magic = "Moult lock: "
    /// More than what is written into a lock's file.
    private static let limit = 1024

    /// Takes the lock at `path`, and makes the file when there is none.
    /// - Throws: ``Held``, and `RegularFile.Fault` when the file cannot be made or is none of these.
    package init(path: String) throws {
        self.path = path
        while true {
            guard let (descriptor, isNew) = try Self.open(path) else { continue }
            let size = try RegularFile.size(of: descriptor.number)
            let text = Self.text(descriptor)
            guard size == 0 || text.hasPrefix(Self.magic) else {
                throw RegularFile.Fault(description: "a lock's file is expected; this is another file")
            }
            // Where the file system has no locks, nobody is kept out.
            guard (try? descriptor.lock()) ?? true else { throw Self.held(text) }
            // Who held it may have removed it since it was opened.
            guard descriptor.isNamed(path) else { continue }
            (self.isNew, self.descriptor) = (isNew, descriptor)
            break
        }
        let now = ISO8601DateFormatter().string(from: Date()).replacing("T", with: " ").replacing("Z", with: " UTC")
        let text = "\(Self.magic)process \(getpid()) on \(ProcessInfo.processInfo.hostName) since \(now)\n"
        // The file is there for people: without room for the words the lock holds all the same.
        ftruncate(descriptor.number, 0)
        _ = text.withCString { pwrite(descriptor.number, $0, strlen($0), 0) }
    }

    /// Takes the lock at `path` as soon as nobody else holds it.
    /// - Parameter wait: called several times a second with who holds it; throwing stops waiting.
    package static func waiting(path: String, _ wait: (Held) throws -> Void) throws -> FileLock {
        while true {
            do { return try FileLock(path: path) } catch let held as Held {
                try wait(held)
                usleep(100_000)
            }
        }
    }

    /// Who holds the lock at `path`; nil when nobody does.
    package static func holder(_ path: String) -> Held? {
        guard let descriptor = try? Descriptor(opening: path, O_RDWR), (try? descriptor.lock()) == false else { return nil }
        return held(text(descriptor))
    }

    /// Removes the file; the lock ends with its owner.
    package func remove() { if descriptor.isNamed(path) { unlink(path) } }

    /// The file at `path`, which is made when there is none; nil when it has just been removed.
    private static func open(_ path: String) throws(RegularFile.Fault) -> (Descriptor, isNew: Bool)? {
        do { return (try Descriptor(opening: path, O_RDWR | O_CREAT | O_EXCL), true) } catch where error.code == EEXIST {}
        do { return (try Descriptor(opening: path, O_RDWR), false) } catch where error.code == ENOENT { return nil }
    }

    private static func text(_ descriptor: Descriptor) -> String {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = max(0, pread(descriptor.number, &bytes, limit, 0))
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    private static func held(_ text: String) -> Held {
        let line = text.prefix { $0 != "\n" }.dropFirst(magic.count).filter { $0.isASCII && !$0.unicodeScalars.contains { $0.value < 32 } }
        return Held(description: line.isEmpty ? "another process" : String(line))
    }
}
