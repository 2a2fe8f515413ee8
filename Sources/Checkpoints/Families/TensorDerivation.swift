/// The recipes of a model's tensors, which begins with every tensor of the files as it is.
public struct TensorDerivation: Sendable, Equatable {
    /// A tensor of the decoder, and how it is made.
    struct Entry: Sendable, Equatable {
        var name: String
        var recipe: TensorRecipe
    }
    /// In the order of the files.
    private(set) var recipes: [Entry]
    private var places: [String: Int]
    /// The extents of the files' tensors.
    private let shapes: [String: [Int]]

    init(_ tensors: [TensorDescription]) {
        recipes = tensors.map { Entry(name: $0.name, recipe: .stored($0.name)) }
        places = Dictionary(tensors.enumerated().map { ($0.element.name, $0.offset) }, uniquingKeysWith: { $1 })
        shapes = Dictionary(tensors.map { ($0.name, $0.shape) }, uniquingKeysWith: { $1 })
    }

    /// Whether there is a tensor called `name`.
    public func has(_ name: String) -> Bool { places[name] != nil }

    /// The rows of the tensor `name`; 0 when there is none.
    public func rows(of name: String) -> Int {
        places[name].flatMap { recipes[$0].recipe.shape { shapes[$0] }?.first } ?? 0
    }

    /// Replaces the tensor `name`, where there is one, by others that are made of it.
    public mutating func replace(_ name: String, by make: (TensorRecipe) -> [(name: String, recipe: TensorRecipe)]) {
        guard let place = places[name] else { return }
        let new = make(recipes[place].recipe).map { Entry(name: $0.name, recipe: $0.recipe) }
        recipes.replaceSubrange(place...place, with: new)
        places = Dictionary(
            recipes.enumerated().map { ($0.element.name, $0.offset) }, uniquingKeysWith: { first, _ in first })
    }

    /// Gives every tensor the name that `rename` says.
    public mutating func rename(_ rename: (String) -> String) {
        recipes = recipes.map { Entry(name: rename($0.name), recipe: $0.recipe) }
        places = Dictionary(
            recipes.enumerated().map { ($0.element.name, $0.offset) }, uniquingKeysWith: { first, _ in first })
    }

    /// Changes the tensors that `applies` names.
    public mutating func change(_ applies: (String) -> Bool, _ make: (TensorRecipe) -> TensorRecipe) {
        for index in recipes.indices where applies(recipes[index].name) {
            recipes[index].recipe = make(recipes[index].recipe)
        }
    }

    /// Splits the rows of weights and biases that end in `fused` into tensors that end in `parts` of so many rows each.
    public mutating func split(_ fused: String, into parts: [(name: String, rows: Int)]) {
        let total = parts.reduce(0) { $0 + $1.rows }
        for name in recipes.map(\.name) {
            for suffix in [".weight", ".bias"] where name.hasSuffix(fused + suffix) && rows(of: name) == total {
                let stem = name.dropLast(fused.count + suffix.count)
                replace(name) { recipe in
                    var first = 0
                    return parts.map { part in
                        defer { first += part.rows }
                        return ("\(stem)\(part.name)\(suffix)", .rows(recipe, Array(first..<first + part.rows)))
                    }
                }
            }
        }
    }

    /// Puts the dimensions of q's and k's heads, which lie in rows, in the decoder's order, where a head turns only in part:
    /// those that turn come first in each half of the head. Products of queries and keys stay what they are.
    public mutating func gatherTurning(_ decoder: DecoderConfiguration) {
        guard let turning = decoder.rotaryDim else { return }
        let (dim, half) = (decoder.headDim, turning / 2), rest = (dim - turning) / 2
        let order =
            Array(0..<half) + Array(turning..<turning + rest) + Array(half..<turning) + Array(turning + rest..<dim)
        for name in recipes.map(\.name) {
            let part = [".q_proj.", ".k_proj.", ".q_norm.", ".k_norm."].first { name.contains($0) }
            let count = rows(of: name)
            guard part != nil, count > 0, count % dim == 0 else { continue }
            let rows = (0..<count / dim).flatMap { head in order.map { head * dim + $0 } }
            change({ $0 == name }) { .rows($0, rows) }
        }
    }
}
