import Foundation

extension RegularFile {
    /// Writes the contents of the file at `path`, or of the one that a link there stands for, to a new file. Nothing is
    /// flushed: the folder that it belongs to is.
    package static func copy(_ path: String, to target: String) throws {
        let number = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard number >= 0 else { throw Fault(errno) }
        let source = Descriptor(number)
        _ = try size(of: number)
        let file = try StagedFile(path: target)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        var offset = 0
        while true {
            let count = pread(source.number, buffer.baseAddress, buffer.count, off_t(offset))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Fault(errno) }
            if count == 0 { break }
            try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
            offset += count
        }
        try file.publish()
    }
}
