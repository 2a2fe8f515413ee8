import Tensors

/// A checkpoint whose tensors are made of those of the files by a family's recipes.
public struct DerivedCheckpoint: Checkpoint {
    private let base: any Checkpoint
    public let tensors: [TensorDescription]
    private let recipes: [String: TensorRecipe]
    private let places: [String: Int]
    /// Tensors of the files of which nothing is made.
    public let unused: [TensorDescription]

    /// - Throws: ``CheckpointError`` where recipes do not fit the tensors or give one name twice.
    init(_ base: any Checkpoint, _ derivation: TensorDerivation) throws {
        self.base = base
        var tensors: [TensorDescription] = [], recipes: [String: TensorRecipe] = [:], places: [String: Int] = [:]
        for entry in derivation.entries {
            let (name, recipe) = (entry.name, entry.recipe)
            let source = recipe.source
            guard let stored = base.description(of: source) else {
                throw CheckpointError.missingTensor(path: base.path, name: source)
            }
            guard let shape = recipe.shape({ base.description(of: $0)?.shape }) else {
                throw CheckpointError.tensor(
                    file: stored.file, name: source, expected: "a shape of which \(name) can be made",
                    found: "\(stored.shape)")
            }
            guard recipes.updateValue(recipe, forKey: name) == nil else {
                throw CheckpointError.duplicate(file: stored.file, name: name)
            }
            let count = shape.reduce(1, *)
            // Blocks have less than a byte for an element.
            let share = Double(count) / Double(max(1, stored.count))
            let bytes = recipe.isWide ? count * 4 : Int(Double(stored.byteCount) * share)
            places[name] = tensors.count
            tensors.append(
                TensorDescription(
                    name: name, shape: shape, format: recipe.isWide ? .f32 : stored.format,
                    byteCount: recipe == .stored(source) ? stored.byteCount : bytes, file: stored.file))
        }
        (self.tensors, self.recipes, self.places) = (tensors, recipes, places)
        let used = Set(derivation.entries.map(\.recipe.source))
        unused = base.tensors.filter { !used.contains($0.name) }
    }

    public var path: String { base.path }

    public func description(of name: String) -> TensorDescription? { places[name].map { tensors[$0] } }

    public func load(_ name: String, as dtype: DType?) throws -> Tensor {
        guard let recipe = recipes[name] else { throw CheckpointError.missingTensor(path: path, name: name) }
        return try recipe.load(base, as: dtype)
    }

    /// How the tensor `name` is made; nil when there is none.
    public func recipe(of name: String) -> TensorRecipe? { recipes[name] }
}
