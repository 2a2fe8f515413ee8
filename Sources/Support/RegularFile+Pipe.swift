import Foundation

extension RegularFile {
    /// The contents of a regular file, or of a pipe that somebody writes to, as `<(command)` and `/dev/stdin` are: for
    /// texts that the user names. A pipe without a writer is an error, and nothing waits for one.
    /// - Parameter pipeLimit: the most bytes that are taken from a pipe.
    package static func contentsOrPipe(_ path: String, pipeLimit: Int = 1 << 30) throws(Fault) -> Data {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw Fault(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Fault(errno) }
        guard status.st_mode & S_IFMT == S_IFIFO else { return try contents(path) }
        var data = Data()
        var hasWriter = false
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                // Only a pipe with a writer says that bytes may come.
                hasWriter = true
                var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                guard poll(&waiting, 1, -1) >= 0 || errno == EINTR else { throw Fault(errno) }
                continue
            }
            guard count >= 0 else { throw Fault(errno) }
            guard count > 0 else { break }
            data.append(contentsOf: buffer[..<count])
            guard data.count <= pipeLimit else {
                throw Fault(description: "a pipe with at most \(pipeLimit) bytes is expected; more came")
            }
        }
        guard hasWriter || !data.isEmpty else {
            throw Fault(description: "a text is expected; this is a pipe that nobody writes to")
        }
        return data
    }
}
