import Foundation

extension [String] {
    /// Whether one of these patterns, in which * stands for anything, means `name`.
    func match(_ name: String) -> Bool { contains { fnmatch($0, name, 0) == 0 } }
}
