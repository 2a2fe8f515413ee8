/// A key/value head of a layer, as command lines and files name it: "18:2".
public struct KeptHead: Sendable, Hashable, CustomStringConvertible {
    /// The layer, from 0 on.
    public var layer: Int
    /// The key/value head of the layer, from 0 on.
    public var head: Int

    /// Key/value head `head` of layer `layer`.
    public init(layer: Int, head: Int) { (self.layer, self.head) = (layer, head) }

    /// Reads "18:2"; nil for anything else. Whether a model has such a head is another question.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let layer = parts[0], let head = parts[1] else { return nil }
        (self.layer, self.head) = (layer, head)
    }

    public var description: String { "\(layer):\(head)" }
}
