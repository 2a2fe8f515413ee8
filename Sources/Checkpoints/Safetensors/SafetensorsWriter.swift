import Foundation
import Support
import Tensors

/// Streams tensors to disk as safetensors: `model.safetensors`, or shards with an index when they exceed a limit.
///
/// Names and shapes are declared first; then tensors are appended one after another, so that memory holds one of them.
/// Files are written under temporary names in the same folder and renamed by ``finish()``; until then, and after a
/// failure, nothing is left under a final name. The same tensors give the same bytes.
public final class SafetensorsWriter {
    private let directory: String
    private let layout: ShardLayout
    private var files: [StagedFile] = []
    private var appended = 0
    private var isOpen = true

    /// Starts writing into `directory`, which exists.
    ///
    /// - Parameters:
    ///   - tensors: What will be appended, in that order.
    ///   - shardLimit: Bytes of tensors per file.
    ///   - metadata: Text for the header; Hugging Face's loaders ask for `format`.
    /// - Throws: ``CheckpointError/exists(path:)``, ``CheckpointError/unwritable(path:reason:)``,
    ///   ``CheckpointError/diskFull(directory:needed:available:)``, and errors of the declaration.
    public init(
        directory: String, tensors: [(name: String, shape: [Int], dtype: DType)], shardLimit: Int = 5_000_000_000,
        metadata: [String: String] = ["format": "pt"]
    ) throws {
        self.directory = directory
        layout = try ShardLayout(tensors: tensors, shardLimit: shardLimit, metadata: metadata, path: directory)
        for name in [SafetensorsCheckpoint.fileName, SafetensorsCheckpoint.indexName] {
            let path = directory + "/" + name
            guard access(path, F_OK) != 0 else { throw CheckpointError.exists(path: path) }
        }
        try checkSpace()
        do {
            for shard in layout.shards {
                try stage(shard.name, shard.header)
            }
        } catch {
            cancel()
            throw error
        }
    }

    deinit { cancel() }

    /// Writes the next of the declared tensors. After an error the writer is cancelled.
    public func append(_ tensor: Tensor) throws {
        do {
            guard isOpen, appended < layout.entries.count else {
                throw CheckpointError.writerOrder(
                    path: directory, expected: isOpen ? "no more tensors" : "an open writer", found: "another tensor")
            }
            let entry = layout.entries[appended]
            guard tensor.shape == entry.shape, tensor.dtype == entry.dtype else {
                throw CheckpointError.writerOrder(
                    path: directory, expected: "\(entry.name): \(entry.shape) of \(entry.dtype.rawValue)",
                    found: "\(tensor.shape) of \(tensor.dtype.rawValue)")
            }
            let file = files[entry.shard]
            try tensor.withUnsafeBytes { bytes in try writing(file.path) { try file.write(bytes, at: entry.offset) } }
            appended += 1
        } catch {
            cancel()
            throw error
        }
    }

    /// Completes the files and gives them their names. After an error nothing is left.
    public func finish() throws {
        var published: [String] = []
        do {
            guard isOpen, appended == layout.entries.count else {
                throw CheckpointError.writerOrder(
                    path: directory, expected: isOpen ? "\(layout.entries.count) tensors" : "an open writer",
                    found: isOpen ? "\(appended)" : "a finished or cancelled one")
            }
            if let index = layout.index {
                try stage(SafetensorsCheckpoint.indexName, Array((index.text(indented: true) + "\n").utf8))
            }
            for file in files { try writing(file.path) { try file.flush() } }
            for file in files {
                try writing(file.path) { try file.publish() }
                published.append(file.path)
            }
            isOpen = false
            files = []
            DiskFlush.folder(directory)
        } catch {
            for path in published { unlink(path) }
            cancel()
            throw error
        }
    }

    /// Begins a file with `bytes`.
    private func stage(_ name: String, _ bytes: some Collection<UInt8>) throws {
        let path = directory + "/" + name
        try writing(path) {
            let file = try StagedFile(path: path)
            files.append(file)
            try Array(bytes).withUnsafeBytes { try file.write($0, at: 0) }
        }
    }

    /// Runs `body`, which writes `path`, and says so in its errors.
    private func writing(_ path: String, _ body: () throws -> Void) throws {
        do { try body() } catch let fault as RegularFile.Fault {
            guard fault.code != EEXIST else { throw CheckpointError.exists(path: path) }
            throw CheckpointError.unwritable(path: path, reason: fault.description)
        }
    }

    /// Removes what has been written. Does nothing after ``finish()``.
    public func cancel() {
        isOpen = false
        for file in files { file.discard() }
        files = []
    }

    private func checkSpace() throws {
        let needed = layout.shards.reduce(0) { $0 + $1.byteCount }
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else {
            throw CheckpointError.unwritable(path: directory, reason: String(cString: strerror(errno)))
        }
        let (available, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        guard overflow || available >= UInt64(needed) else {
            throw CheckpointError.diskFull(directory: directory, needed: UInt64(needed), available: available)
        }
    }
}
