import CSupport

/// A file or a folder that this process is writing under a temporary name.
///
/// While it is registered it is removed if the process ends because a file that it reads was cut short (see `CSupport.h`),
/// where no Swift code runs any more.
package final class PartialOutput: @unchecked Sendable {
    private let entry: UnsafeMutableRawPointer?

    package init(path: String) { entry = moult_partial_add(path) }

    deinit { moult_partial_remove(entry) }
}
