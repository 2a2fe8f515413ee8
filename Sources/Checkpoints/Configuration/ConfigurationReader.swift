import Support
import Tensors

/// Reads the keys of a config.json, with errors that name file and key. A key with the value null counts as absent.
public struct ConfigurationReader: Sendable {
    /// All keys and values.
    public let object: JSONObject
    /// The name of the file in errors.
    public let file: String
    /// Prepended to keys in errors, such as "rope_scaling.".
    public var prefix = ""

    /// Reads `object`, which stands in `file`.
    public init(object: JSONObject, file: String, prefix: String = "") {
        (self.object, self.file, self.prefix) = (object, file, prefix)
    }

    /// The value of `key`; nil when it is absent or null.
    public func value(_ key: String) -> JSONValue? {
        guard let value = object[key], value != .null else { return nil }
        return value
    }

    /// The error for a key whose value is not what was `expected`.
    public func wrong(_ key: String, _ expected: String) -> CheckpointError {
        .configuration(
            file: file, key: prefix + key, expected: expected, found: object[key]?.summary ?? "nothing")
    }

    /// An integer within `range`; without a default the key is required.
    public func integer(_ key: String, in range: ClosedRange<Int>, default fallback: Int? = nil) throws -> Int {
        let expected = "an integer from \(range.lowerBound) to \(range.upperBound)"
        guard let value = value(key) else {
            guard let fallback else { throw wrong(key, expected) }
            return fallback
        }
        guard let integer = value.integerValue, range.contains(integer) else { throw wrong(key, expected) }
        return integer
    }

    /// A number above 0 and at most `limit`; without a default the key is required.
    public func number(_ key: String, upTo limit: Double, default fallback: Double? = nil) throws -> Double {
        let expected = "a number above 0, at most \(limit)"
        guard let value = value(key) else {
            guard let fallback else { throw wrong(key, expected) }
            return fallback
        }
        guard let number = value.doubleValue, number > 0, number <= limit else { throw wrong(key, expected) }
        return number
    }

    /// True or false; `fallback` when the key is absent.
    public func bool(_ key: String, default fallback: Bool) throws -> Bool {
        guard let value = value(key) else { return fallback }
        guard let bool = value.boolValue else { throw wrong(key, "true or false") }
        return bool
    }

    /// A text; nil when the key is absent.
    public func string(_ key: String) throws -> String? {
        guard let value = value(key) else { return nil }
        guard let string = value.stringValue else { throw wrong(key, "a string") }
        return string
    }

    /// A nested object.
    public func nested(_ key: String) throws -> ConfigurationReader? {
        guard let value = value(key) else { return nil }
        guard let object = value.objectValue else { throw wrong(key, "an object") }
        return ConfigurationReader(object: object, file: file, prefix: prefix + key + ".")
    }

    /// One token id, or a list of them; `fallback` when the key is absent, none when it is null. Ids without a row in the
    /// embedding, such as -1, stand for no token.
    public func tokens(_ key: String, below limit: Int, default fallback: [Int]) throws -> [Int] {
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

    /// An even integer within `range`; the key is required.
    public func evenInteger(_ key: String, in range: ClosedRange<Int>) throws -> Int {
        let number = try integer(key, in: range)
        guard number % 2 == 0 else { throw wrong(key, "an even number") }
        return number
    }

    /// A list of layers; none when the key is absent.
    public func layers(_ key: String, below count: Int) throws -> Set<Int> {
        guard let value = value(key) else { return [] }
        let layers = value.arrayValue?.compactMap(\.integerValue).filter { (0..<count).contains($0) }
        guard let layers, layers.count == value.arrayValue?.count else {
            throw wrong(key, "a list of layers from 0 to \(count - 1)")
        }
        return Set(layers)
    }

    /// Which of `count` layers have a sliding window, as `layer_types` says; nil when it is absent.
    public func localLayers(_ count: Int) throws -> [Bool]? {
        guard let value = value("layer_types") else { return nil }
        let known = ["sliding_attention": true, "full_attention": false]
        let layers = value.arrayValue?.compactMap { $0.stringValue.flatMap { known[$0] } }
        guard let layers, layers.count == count, value.arrayValue?.count == count else {
            throw wrong("layer_types", "\(count) of 'sliding_attention' and 'full_attention'")
        }
        return layers
    }

    /// The activation under `key`, of which `fallback` stands for an absent one.
    public func activation(_ key: String, default fallback: Activation) throws -> Activation {
        guard let name = try string(key) else { return fallback }
        switch name {
        case "silu", "swish": return .silu
        case "gelu": return .gelu
        case "gelu_new", "gelu_pytorch_tanh", "gelu_fast": return .geluTanh
        default:
            throw CheckpointError.unsupported(
                file: file, what: prefix + key, found: name, supported: "silu, gelu, gelu_new, gelu_pytorch_tanh")
        }
    }
}
