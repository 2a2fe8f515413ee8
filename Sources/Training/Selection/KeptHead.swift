/// A key/value head of a layer.
struct KeptHead: Sendable, Hashable, CustomStringConvertible {
    var layer: Int
    var head: Int

    /// As "18:2".
    var description: String { "\(layer):\(head)" }

    init(layer: Int, head: Int) { (self.layer, self.head) = (layer, head) }

    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let layer = parts[0], let head = parts[1], layer >= 0, head >= 0 else { return nil }
        (self.layer, self.head) = (layer, head)
    }
}
