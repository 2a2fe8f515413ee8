/// A dictionary: keys and values in their order. Keys are looked up by ``TemplateRenderer/lookUp(_:in:_:)``, which counts
/// the work.
struct TemplateDictionary {
    struct Entry {
        var key: TemplateValue
        var value: TemplateValue
    }

    private(set) var entries: [Entry] = []
    private(set) var depth = 1

    /// - Parameter entries: With keys that are different.
    init(_ entries: [Entry] = []) {
        self.entries = entries
        depth = 1 + (entries.lazy.map { max($0.key.depth, $0.value.depth) }.max() ?? 0)
    }

    /// Replaces the value at a place, or appends.
    mutating func set(_ key: TemplateValue, _ value: TemplateValue, at index: Int?) {
        depth = max(depth, 1 + max(key.depth, value.depth))
        if let index { entries[index].value = value } else { entries.append(Entry(key: key, value: value)) }
    }
}
