/// Reads the keys of a config.json, with errors that name file and key. A key with the value null counts as absent.
struct ConfigurationReader {
    let object: JSONObject
    let file: String
    /// Prepended to keys in errors, such as "rope_scaling.".
    var prefix = ""

    func value(_ key: String) -> JSONValue? {
        guard let value = object[key], value != .null else { return nil }
        return value
    }

    func wrong(_ key: String, _ expected: String) -> CheckpointError {
        .configuration(
            file: file, key: prefix + key, expected: expected, found: object[key]?.summary ?? "nothing")
    }

    /// An integer within `range`; without a default the key is required.
    func integer(_ key: String, in range: ClosedRange<Int>, default fallback: Int? = nil) throws -> Int {
        let expected = "an integer from \(range.lowerBound) to \(range.upperBound)"
        guard let value = value(key) else {
            guard let fallback else { throw wrong(key, expected) }
            return fallback
        }
        guard let integer = value.integerValue, range.contains(integer) else { throw wrong(key, expected) }
        return integer
    }

    /// A number above 0 and at most `limit`; without a default the key is required.
    func number(_ key: String, upTo limit: Double, default fallback: Double? = nil) throws -> Double {
        let expected = "a number above 0, at most \(limit)"
        guard let value = value(key) else {
            guard let fallback else { throw wrong(key, expected) }
            return fallback
        }
        guard let number = value.doubleValue, number > 0, number <= limit else { throw wrong(key, expected) }
        return number
    }

    func bool(_ key: String, default fallback: Bool) throws -> Bool {
        guard let value = value(key) else { return fallback }
        guard let bool = value.boolValue else { throw wrong(key, "true or false") }
        return bool
    }

    func string(_ key: String) throws -> String? {
        guard let value = value(key) else { return nil }
        guard let string = value.stringValue else { throw wrong(key, "a string") }
        return string
    }

    /// A nested object.
    func nested(_ key: String) throws -> ConfigurationReader? {
        guard let value = value(key) else { return nil }
        guard let object = value.objectValue else { throw wrong(key, "an object") }
        return ConfigurationReader(object: object, file: file, prefix: prefix + key + ".")
    }

    /// One token id, or a list of them; `fallback` when the key is absent, none when it is null. Ids without a row in the
    /// embedding, such as -1, stand for no token.
    func tokens(_ key: String, below limit: Int, default fallback: [Int]) throws -> [Int] {
        guard let value = object[key] else { return fallback.filter { $0 < limit } }
        let values: [JSONValue]
        switch value {
        case .null: values = []
        case .array(let array): values = array
        default: values = [value]
        }
        return try values.map {
            guard let token = $0.integerValue else {
                throw CheckpointError.configuration(
                    file: file, key: prefix + key, expected: "token ids", found: $0.summary)
            }
            return token
        }.filter { (0..<limit).contains($0) }
    }
}
