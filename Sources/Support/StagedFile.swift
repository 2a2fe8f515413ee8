import CSupport
import Foundation

/// A file that is written under a name of its own beside its place, and renamed when it is whole; at no time is there half
/// a file. Unless it is published it is removed with its owner, and after a kill by the next process that writes there.
package final class StagedFile {
    /// What a file may take the place of.
    package enum Replacement: Sendable {
        case nothing
        /// A regular file with these first bytes.
        case file(beginning: [UInt8])
    }

    /// Where the file will be.
    package let path: String
    /// Where it is until then.
    package let temporaryPath: String
    private let replacement: Replacement
    private let descriptor: Descriptor
    private let partial: PartialOutput
    private var isPublished = false

    /// Creates the file under its temporary name.
    /// - Throws: a fault with the code `EEXIST` when there is something at `path` that is not to be replaced.
    package init(
        path: String, replacing replacement: Replacement = .nothing, mode: mode_t = 0o666
    ) throws(RegularFile.Fault) {
        (self.path, self.replacement) = (path, replacement)
        let place = FilePath(path)
        guard !place.name.isEmpty else { throw RegularFile.Fault(description: "a file's name is expected") }
        try Self.check(path, replacing: replacement)
        (temporaryPath, descriptor) = try PartialName.make(beside: place) { name throws(RegularFile.Fault) in
            try Descriptor(opening: name, O_RDWR | O_CREAT | O_EXCL, mode: mode)
        }
        partial = PartialOutput(path: temporaryPath)
    }

    /// Writes to a file that is open already; for tests of what writing reports.
    package init(path: String, temporaryPath: String, descriptor: Int32) {
        (self.path, self.temporaryPath, replacement) = (path, temporaryPath, .nothing)
        self.descriptor = Descriptor(descriptor)
        partial = PartialOutput(path: temporaryPath)
    }

    deinit { discard() }

    /// Writes a whole file.
    /// - Parameter isDurable: whether it is on the disk before it has its name: so for all but what can be made again.
    package static func write(
        _ bytes: some Collection<UInt8>, to path: String, replacing replacement: Replacement = .nothing,
        isDurable: Bool = true, mode: mode_t = 0o666
    ) throws(RegularFile.Fault) {
        let file = try StagedFile(path: path, replacing: replacement, mode: mode)
        try Array(bytes).withUnsafeBytes { bytes in
            Result { () throws(RegularFile.Fault) in try file.write(bytes, at: 0) }
        }.get()
        if isDurable { try file.flush() }
        try file.publish()
        if isDurable { DiskFlush.folder(FilePath(path).folder) }
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(RegularFile.Fault) {
        var written = 0
        while written < bytes.count {
            // Linux writes at most 2 GiB at once.
            let part = UnsafeRawBufferPointer(rebasing: bytes[written..<min(bytes.count, written + 1 << 30)])
            let count = pwrite(descriptor.number, part.baseAddress, part.count, off_t(offset + written))
            if count < 0, errno == EINTR { continue }
            // The system could not read the bytes: they are of a mapped file that was cut short, which reading them says.
            if count < 0, errno == EFAULT { moult_touch(part.baseAddress, part.count) }
            guard count >= 0 else { throw RegularFile.Fault(errno) }
            guard count > 0 else { throw RegularFile.Fault(description: "nothing was written") }
            written += count
        }
    }

    /// Waits until the contents are on the disk.
    package func flush() throws(RegularFile.Fault) {
        guard fsync(descriptor.number) == 0 else { throw RegularFile.Fault(errno) }
    }

    /// Gives the file its name, unless something that it does not replace has taken that meanwhile.
    package func publish() throws(RegularFile.Fault) {
        if case .nothing = replacement {
            // Unlike rename(2), link(2) replaces nothing; not every file system has it.
            if link(temporaryPath, path) == 0 {
                unlink(temporaryPath)
                isPublished = true
                return
            }
            if errno == EEXIST { throw RegularFile.Fault(EEXIST) }
        }
        try Self.check(path, replacing: replacement)
        guard rename(temporaryPath, path) == 0 else { throw RegularFile.Fault(errno) }
        isPublished = true
    }

    /// Removes the file, unless it has its name.
    package func discard() {
        if !isPublished { unlink(temporaryPath) }
        isPublished = true
    }

    private static func check(_ path: String, replacing replacement: Replacement) throws(RegularFile.Fault) {
        let beginning: [UInt8]? = if case .file(let beginning) = replacement { beginning } else { nil }
        let found =
            switch try Occupant(path, beginning: beginning ?? []) {
            case .nothing: String?.none
            case .own: beginning == nil ? "a file" : nil
            case .foreign(let found): found
            }
        if let found { throw RegularFile.Fault(description: "there is \(found) already", code: EEXIST) }
    }
}
