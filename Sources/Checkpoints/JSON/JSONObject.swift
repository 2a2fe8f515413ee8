/// A JSON object that keeps the order of its keys. Two objects are equal when their keys and values are, in any order.
public struct JSONObject: Sendable, Equatable {
    /// The keys in their order.
    public private(set) var keys: [String] = []
    private var values: [String: JSONValue] = [:]

    /// An object without keys.
    public init() {}

    /// An object of these pairs; of pairs with one key the last counts.
    public init(_ pairs: [(String, JSONValue)]) {
        for (key, value) in pairs { self[key] = value }
    }

    /// Number of keys.
    public var count: Int { keys.count }

    /// The value under `key`. Setting nil removes the key; setting a new key appends it.
    public subscript(key: String) -> JSONValue? {
        get { values[key] }
        set {
            if let newValue {
                if values.updateValue(newValue, forKey: key) == nil { keys.append(key) }
            } else if values.removeValue(forKey: key) != nil {
                keys.removeAll { $0 == key }
            }
        }
    }

    /// The pairs in order.
    public var pairs: [(key: String, value: JSONValue)] {
        keys.compactMap { key in values[key].map { (key, $0) } }
    }

    public static func == (left: JSONObject, right: JSONObject) -> Bool { left.values == right.values }
}
