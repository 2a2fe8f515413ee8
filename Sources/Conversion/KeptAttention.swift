import Models
import Tensors

/// Layers, and single key/value heads of others, that keep the source's softmax attention.
public struct KeptAttention: Sendable, Equatable, ExpressibleByArrayLiteral {
    /// The heads by layer; nil for all of them.
    private var parts: [Int: Set<Int>?] = [:]

    /// Nothing: all layers get the new mixer.
    public init() {}

    /// Whole layers.
    public init(arrayLiteral layers: Int...) { for layer in layers { parts[layer] = .some(nil) } }

    /// Reads "7,18" or "18:2,8:0": whole layers, and heads as LAYER:HEAD; nil for anything else.
    public init?(_ text: String) {
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let name = part.trimmingPrefix { $0 == " " }
            if let layer = Int(name) {
                parts[layer] = .some(nil)
            } else if let head = KeptHead(name) {
                insert(head)
            } else {
                return nil
            }
        }
    }

    /// Whether nothing keeps its attention.
    public var isEmpty: Bool { parts.isEmpty }

    private mutating func insert(_ head: KeptHead) {
        // A whole layer has the head already.
        if case .some(.none) = parts[head.layer] { return }
        parts[head.layer] = (parts[head.layer] ?? [])?.union([head.head])
    }

    /// The layers that are kept whole: those named, and those of whose `count` heads all are.
    public func layers(of count: Int) -> Set<Int> {
        Set(parts.filter { $0.value.map { $0.count == count } ?? true }.keys)
    }

    /// The heads that are kept of other layers, `count` each.
    func heads(of count: Int) -> [Int: HeadSet] {
        parts.compactMapValues { heads in heads.flatMap { $0.count < count ? HeadSet($0) : nil } }
    }

    /// - Throws: ``ConversionError/option(name:expected:found:)`` for what a model with so many layers and heads has not.
    func check(layers: Int, heads: Int) throws {
        for (layer, some) in parts.sorted(by: { $0.key < $1.key }) {
            guard (0..<layers).contains(layer) else {
                throw ConversionError.option(
                    name: "keptAttention", expected: "layers from 0 to \(layers - 1)", found: "\(layer)")
            }
            guard let outside = some?.sorted().first(where: { !(0..<min(heads, HeadSet.mostHeads)).contains($0) })
            else { continue }
            throw ConversionError.option(
                name: "keptAttention", expected: "key/value heads from 0 to \(min(heads, HeadSet.mostHeads) - 1)",
                found: "\(KeptHead(layer: layer, head: outside))")
        }
    }
}
