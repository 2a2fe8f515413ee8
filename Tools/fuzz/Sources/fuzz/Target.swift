import Foundation

/// A parser that is given bytes: what it throws is right, whatever it is; what it does not survive is found.
struct Target: Sendable {
    let name: String
    let run: @Sendable ([UInt8]) throws -> Void

    static let all: [Target] =
        [jsonTargets, modelTargets, tokenizerTargets, dataTargets].flatMap { $0 }

    /// The one that FUZZ_TARGET names.
    static let chosen: Target? = {
        let name = ProcessInfo.processInfo.environment["FUZZ_TARGET"] ?? ""
        guard let target = all.first(where: { $0.name == name }) else {
            print("FUZZ_TARGET=\(name): expected one of \(all.map(\.name).joined(separator: ", "))")
            exit(2)
        }
        return target
    }()
}

/// What libFuzzer calls.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = [UInt8](UnsafeBufferPointer(start: bytes, count: count))
    do { try Target.chosen?.run(input) } catch {
        // The error's text is made for people, of what the file holds.
        _ = "\(error)".utf8.count
    }
    return 0
}

/// A file with `bytes` in memory, for parsers that take a path; each process has one of each name.
func withFile<Result>(_ bytes: [UInt8], ending: String, _ body: (String) throws -> Result) throws -> Result {
    let path = "/dev/shm/moult-fuzz-\(getpid()).\(ending)"
    defer { unlink(path) }
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return try body(path)
}
