/// Values that are drawn at random, none twice.
struct DistinctValues<Value: Hashable> {
    /// Those that are not drawn again.
    private var used: Set<Value>

    init(but used: [Value] = []) { self.used = Set(used) }

    /// Draws until there is a new value: `draw` must have more of them than are taken.
    mutating func next(_ draw: () -> Value) -> Value {
        while true {
            let value = draw()
            if used.insert(value).inserted { return value }
        }
    }
}
