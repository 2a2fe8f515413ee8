import Tensors

/// The recipes of a model's tensors, which begins with every tensor of the files as it is.
public struct TensorDerivation: Sendable, Equatable {
    /// A tensor of the decoder, and how it is made.
    struct Entry: Sendable, Equatable {
        var name: String
        var recipe: TensorRecipe
    }
    /// In the order of the files.
    private(set) var entries: [Entry]
    /// The extents of the files' tensors.
    private let shapes: [String: [Int]]

    init(_ tensors: [TensorDescription]) {
        entries = tensors.map { Entry(name: $0.name, recipe: .stored($0.name)) }
        shapes = Dictionary(tensors.map { ($0.name, $0.shape) }, uniquingKeysWith: { $1 })
    }

    /// Puts others in the place of each tensor that `make` gives some for.
    private mutating func replace(_ make: (_ entry: Entry, _ shape: [Int]) -> [Entry]?) {
        let shapes = shapes
        entries = entries.flatMap { make($0, $0.recipe.shape { shapes[$0] } ?? []) ?? [$0] }
    }

    /// Replaces, in this order, parts of all names.
    public mutating func rename(_ parts: KeyValuePairs<String, String>) {
        for index in entries.indices {
            for (old, new) in parts { entries[index].name = entries[index].name.replacing(old, with: new) }
        }
    }

    /// Changes the tensors that `applies` names.
    public mutating func change(_ applies: (String) -> Bool, _ make: (TensorRecipe) -> TensorRecipe) {
        for index in entries.indices where applies(entries[index].name) {
            entries[index].recipe = make(entries[index].recipe)
        }
    }

    /// Leaves out the causal masks that older programs have saved.
    public mutating func dropMasks() {
        entries.removeAll { entry in
            [".self_attn.bias", ".self_attn.masked_bias"].contains { entry.name.hasSuffix($0) }
        }
    }

    /// Takes stacks (E, ...) of experts' matrices apart: of those that end in `.experts.NAME`, with or without `.weight`, the
    /// one of expert e ends in `.experts.e.NAME.weight`. What no program has made so stays as it is.
    public mutating func unstackExperts(_ names: [String]) {
        replace { entry, shape in
            let path = entry.name.hasSuffix(".weight") ? String(entry.name.dropLast(".weight".count)) : entry.name
            guard shape.count == 3, shape[0] <= Experts.most,
                let name = names.first(where: { path.hasSuffix(".experts.\($0)") })
            else { return nil }
            let stem = path.dropLast(name.count)
            return (0..<shape[0]).map {
                Entry(name: "\(stem)\($0).\(name).weight", recipe: .member(entry.recipe, $0))
            }
        }
    }

    /// Puts in the place of a matrix of this name, where there is one, a vector for each row but the first: see
    /// ``TensorRecipe/softmaxSum(_:through:)``.
    public mutating func sumSoftmax(_ name: String, as made: (Int) -> String) {
        replace { entry, shape in
            guard entry.name == name, shape.count == 2, shape[0] <= 4096 else { return nil }
            return (1..<max(1, shape[0])).map {
                Entry(name: made($0), recipe: .softmaxSum(entry.recipe, through: $0))
            }
        }
    }

    // MARK: Rows

    /// Splits weights and biases that end in `fused`, where they have as many rows as the `parts` together, into tensors that
    /// end in the parts' names, each of the rows of these numbers.
    private mutating func split(_ fused: String, into parts: [(name: String, rows: [Int])]) {
        let total = parts.reduce(0) { $0 + $1.rows.count }
        replace { entry, shape in
            let suffix = [".weight", ".bias"].first { entry.name.hasSuffix(fused + $0) }
            guard let suffix, shape.first == total else { return nil }
            let stem = entry.name.dropLast(fused.count + suffix.count)
            return parts.map { Entry(name: "\(stem)\($0.name)\(suffix)", recipe: .rows(entry.recipe, $0.rows)) }
        }
    }

    /// Splits weights and biases that end in `fused` into tensors that end in `parts`, of so many rows one behind another.
    public mutating func split(_ fused: String, into parts: [(name: String, count: Int)]) {
        var first = 0
        split(
            fused,
            into: parts.map { part in
                defer { first += part.count }
                return (part.name, Array(first..<first + part.count))
            })
    }

    /// Splits those of (heads · parts · dim, ...), which have the rows of a head together, into parts (heads · dim, ...).
    public mutating func regroup(_ fused: String, into parts: [String], heads: Int, dim: Int) {
        split(
            fused,
            into: parts.enumerated().map { place, part in
                (part, (0..<heads).flatMap { head in (0..<dim).map { (head * parts.count + place) * dim + $0 } })
            })
    }

    /// Splits those that end in `fused` into q, k and v, one behind another.
    public mutating func splitAttention(_ fused: String, _ decoder: DecoderConfiguration) {
        let (query, keyValue) = (
            decoder.headCount * decoder.headDim, decoder.keyValueHeadCount * decoder.headDim
        )
        split(fused, into: [(name: "q_proj", count: query), ("k_proj", keyValue), ("v_proj", keyValue)])
    }

    /// Puts the dimensions of q's and k's heads, which lie in rows, in the decoder's order, where a head turns only in part:
    /// those that turn come first in each half of the head. Products of queries and keys stay what they are.
    public mutating func gatherTurning(_ decoder: DecoderConfiguration) {
        guard let turning = decoder.rotaryDim else { return }
        let (dim, half) = (decoder.headDim, turning / 2), rest = (dim - turning) / 2
        let order =
            Array(0..<half) + Array(turning..<turning + rest) + Array(half..<turning) + Array(turning + rest..<dim)
        replace { entry, shape in
            let count = shape.first ?? 0
            guard [".q_proj.", ".k_proj.", ".q_norm.", ".k_norm."].contains(where: entry.name.contains),
                count > 0, count % dim == 0
            else { return nil }
            let rows = (0..<count / dim).flatMap { head in order.map { head * dim + $0 } }
            return [Entry(name: entry.name, recipe: .rows(entry.recipe, rows))]
        }
    }
}
