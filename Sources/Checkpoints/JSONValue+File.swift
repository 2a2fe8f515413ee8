import Foundation
import Support

extension JSONValue {
    /// Parses strict JSON (RFC 8259), and refuses what Foundation lets pass: an object's key that appears twice,
    /// nesting beyond 64 levels.
    /// - Parameter file: The name to give in errors.
    /// - Throws: ``CheckpointError/json(file:offset:problem:)`` or ``CheckpointError/duplicate(file:name:)``.
    public init(parsing bytes: some ContiguousBytes, file: String) throws {
        do { self = try JSONValue(parsing: bytes, .strict) } catch let fault as JSONFault {
            throw CheckpointError(fault, file: file)
        }
    }

    /// Reads and parses the regular file at `path`, of at most 256 MiB.
    public init(file path: String) throws {
        let data: Data
        do { data = try RegularFile.contents(path, limit: 256 << 20) } catch {
            throw CheckpointError.unreadable(path: path, reason: error.description)
        }
        self = try JSONValue(parsing: data, file: path)
    }
}

extension CheckpointError {
    /// What is wrong with the JSON of a file.
    init(_ fault: JSONFault, file: String) {
        self =
            switch fault {
            case .malformed(let offset, let problem): .json(file: file, offset: offset, problem: problem)
            case .duplicate(let key): .duplicate(file: file, name: key)
            }
    }
}
