import Foundation

/// A folder that is removed with its owner.
package final class TemporaryFolder: Sendable {
    package let path: String

    /// - Parameter inMemory: whether to make it in memory where the system has a place for that, for many small files.
    package init(inMemory: Bool = false) throws {
        let memory = "/dev/shm/"
        let parent = inMemory && access(memory, W_OK) == 0 ? memory : NSTemporaryDirectory()
        path = parent + "moult-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file, in a subfolder if its name says so, and returns its path.
    @discardableResult
    package func write(_ name: String, _ bytes: some Collection<UInt8>) throws -> String {
        let file = URL(fileURLWithPath: "\(path)/\(name)")
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: file)
        return file.path
    }

    @discardableResult
    package func write(_ name: String, _ text: String) throws -> String { try write(name, text.utf8) }

    /// Everything in the folder and its subfolders, hidden files too.
    package var contents: [String] {
        (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []).sorted()
    }
}
