import Tensors

/// Layers, and single key/value heads of others, that keep the source's softmax attention.
public struct KeptAttention: Sendable, Equatable, ExpressibleByArrayLiteral {
    /// The heads by layer; nil for all of them.
    private var parts: [Int: Set<Int>?] = [:]

    public init() {}

    public init(layers: some Sequence<Int>) { for layer in layers { parts[layer] = .some(nil) } }

    public init(arrayLiteral layers: Int...) { self.init(layers: layers) }

    /// Reads "7,18" or "18:2,8:0": whole layers, and heads as LAYER:HEAD; nil for anything else.
    public init?(_ text: String) {
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let numbers = part.split(separator: ":", omittingEmptySubsequences: false).map {
                Int($0.trimmingPrefix { $0 == " " })
            }
            guard (1...2).contains(numbers.count), let layer = numbers[0] else { return nil }
            if numbers.count == 1 { insert(layer: layer) }
            if numbers.count == 2 {
                guard let head = numbers[1] else { return nil }
                insert(layer: layer, head: head)
            }
        }
    }

    public var isEmpty: Bool { parts.isEmpty }

    public mutating func insert(layer: Int) { parts[layer] = .some(nil) }

    public mutating func insert(layer: Int, head: Int) {
        // A whole layer has the head already.
        if case .some(.none) = parts[layer] { return }
        parts[layer] = (parts[layer] ?? [])?.union([head])
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
                    name: "--keep-attention", expected: "layers from 0 to \(layers - 1)", found: "\(layer)")
            }
            guard let outside = some?.sorted().first(where: { !(0..<min(heads, HeadSet.mostHeads)).contains($0) })
            else { continue }
            throw ConversionError.option(
                name: "--keep-attention", expected: "key/value heads from 0 to \(min(heads, HeadSet.mostHeads) - 1)",
                found: "\(layer):\(outside)")
        }
    }
}
