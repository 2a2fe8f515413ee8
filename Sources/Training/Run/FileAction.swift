import Foundation
import Support

/// What a run does with files, so that whatever goes wrong is a ``TrainingError/file(path:reason:)`` in one line.
enum FileAction: String {
    case read, written

    /// Runs `body`, which reads or writes `path`.
    func filing(_ path: String, _ body: () throws -> Void) throws {
        do { try body() } catch let fault as RegularFile.Fault {
            throw TrainingError.file(path: path, reason: "cannot be \(rawValue): \(fault)")
        } catch let error as CocoaError {
            let below = error.userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
            let reason =
                below.domain == NSPOSIXErrorDomain
                ? String(cString: strerror(Int32(truncatingIfNeeded: below.code))) : below.localizedDescription
            throw TrainingError.file(path: path, reason: "cannot be \(rawValue): \(reason)")
        }
    }
}
