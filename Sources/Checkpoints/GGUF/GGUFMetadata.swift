/// The keys and values of a GGUF file. The typed getters return nil for an absent key and throw
/// ``CheckpointError/configuration(file:key:expected:found:)`` for a value of another type.
public struct GGUFMetadata: Sendable {
    /// The path of the file.
    public let file: String
    /// In file order.
    public let keys: [String]
    private let values: [String: GGUFValue]

    /// Reads `count` pairs at the cursor.
    init(_ cursor: inout GGUFCursor, count: Int, file: MappedFile) throws {
        var keys: [String] = [], values: [String: GGUFValue] = [:]
        for index in 0..<count {
            let key = try cursor.string("metadata key \(index)")
            let type = try GGUFType(&cursor, key)
            let value = try GGUFValue(&cursor, type, key, file: file)
            guard values.updateValue(value, forKey: key) == nil else {
                throw CheckpointError.duplicate(file: file.path, name: key)
            }
            keys.append(key)
        }
        self.file = file.path
        self.keys = keys
        self.values = values
    }

    /// The value of `key`; nil when the file has none.
    public subscript(key: String) -> GGUFValue? { values[key] }

    /// An integer.
    /// - Returns: nil when the file has no such key.
    /// - Throws: ``CheckpointError/configuration(file:key:expected:found:)`` for a value of another type.
    public func integer(_ key: String) throws -> Int? { try get(key, "an integer") { $0.integer } }

    /// A floating-point number or an integer.
    public func number(_ key: String) throws -> Double? { try get(key, "a number") { $0.number } }

    /// A boolean; errors as ``integer(_:)``.
    public func bool(_ key: String) throws -> Bool? {
        try get(key, "a boolean") { if case .bool(let bool) = $0 { bool } else { nil } }
    }

    /// A text; errors as ``integer(_:)``.
    public func string(_ key: String) throws -> String? {
        try get(key, "a string") { if case .string(let string) = $0 { string } else { nil } }
    }

    /// An array of texts; errors as ``integer(_:)``.
    public func strings(_ key: String) throws -> [String]? {
        try get(key, "an array of strings") { if case .array(let array) = $0 { try array.strings(key) } else { nil } }
    }

    /// An array of integers; errors as ``integer(_:)``.
    public func integers(_ key: String) throws -> [Int]? {
        try get(key, "an array of integers") {
            if case .array(let array) = $0 { try array.map(\.integer) } else { nil }
        }
    }

    /// An array of numbers, integers or not; errors as ``integer(_:)``.
    public func numbers(_ key: String) throws -> [Double]? {
        try get(key, "an array of numbers") { if case .array(let array) = $0 { try array.map(\.number) } else { nil } }
    }

    private func get<Value>(_ key: String, _ expected: String, _ read: (GGUFValue) throws -> Value?) throws -> Value? {
        guard let stored = values[key] else { return nil }
        guard let value = try read(stored) else {
            throw CheckpointError.configuration(file: file, key: key, expected: expected, found: stored.summary)
        }
        return value
    }
}
