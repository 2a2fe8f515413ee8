/// A JSON object that keeps the order of its keys, which are compared by their bytes. Two objects are equal when their keys and
/// values are, in any order.
public struct JSONObject: Sendable, Equatable {
    /// The pairs in order. Of a file that repeats a key the last of its pairs counts.
    public private(set) var pairs: [(key: String, value: JSONValue)] = []
    /// Where each key stands, once there are more than a few.
    private var places: [JSONKey: Int]?
    /// So many pairs are gone through as fast as they are looked up.
    private static let few = 8

    /// An object without keys.
    public init() {}

    /// An object of these pairs; of pairs with one key the last counts.
    public init(_ pairs: [(String, JSONValue)]) {
        for (key, value) in pairs { self[key] = value }
    }

    /// An object of these pairs as they are.
    init(unchecked pairs: [(key: String, value: JSONValue)]) { self.pairs = pairs }

    /// Number of keys.
    public var count: Int { pairs.count }
    /// The keys in their order.
    public var keys: [String] { pairs.map(\.key) }

    /// The value under `key`. Setting nil removes the key; setting a new key appends it.
    public subscript(key: String) -> JSONValue? {
        get { place(of: key).map { pairs[$0].value } }
        set {
            if places == nil, pairs.count >= Self.few { index() }
            switch (place(of: key), newValue) {
            case (let place?, let value?): pairs[place].value = value
            case (let place?, nil):
                pairs.remove(at: place)
                if places != nil { index() }
            case (nil, let value?):
                places?[JSONKey(text: key)] = pairs.count
                pairs.append((key, value))
            case (nil, nil): break
            }
        }
    }

    private func place(of key: String) -> Int? {
        if let places { return places[JSONKey(text: key)] }
        return pairs.lastIndex { $0.key.hasSameBytes(as: key) }
    }

    private mutating func index() {
        places = Dictionary(pairs.enumerated().map { (JSONKey(text: $1.key), $0) }) { $1 }
    }

    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.pairs.allSatisfy { right[$0.key] == $0.value }
    }
}
