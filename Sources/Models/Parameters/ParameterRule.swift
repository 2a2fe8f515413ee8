/// One parameter of a model: its name and shape in the checkpoint, and where it comes from when a Transformer is
/// converted. The list of a model's rules is the single statement of what it is made of: loading checks files against
/// it and conversion plans from it.
public struct ParameterRule: Sendable, Equatable {
    /// The parameter's name in the model's checkpoint.
    public let name: String
    /// Extents, outermost first.
    public let shape: [Int]
    /// Where it comes from when a Transformer is converted.
    public let origin: Origin
    /// Whether it is float32 in memory, whatever is asked for: vectors, and matrices whose small errors have great effects.
    public let isWide: Bool

    /// Elements of the parameter.
    public var count: Int { shape.reduce(1, *) }

    /// Where a parameter of a converted model comes from.
    public enum Origin: Sendable, Equatable {
        /// Copied unchanged from the source's tensor of this (Hugging Face) name.
        case reused(String)
        /// New: the source has nothing like it.
        case initialised(Initialiser)
    }

    /// A parameter that conversion copies from the source tensor `source`, by default the one of the same name.
    public static func reused(
        _ name: String, from source: String? = nil, shape: [Int], isWide: Bool? = nil
    ) -> ParameterRule {
        ParameterRule(
            name: name, shape: shape, origin: .reused(source ?? name), isWide: isWide ?? (shape.count < 2))
    }

    /// A parameter that conversion makes.
    public static func new(_ name: String, shape: [Int], _ initialiser: Initialiser) -> ParameterRule {
        ParameterRule(name: name, shape: shape, origin: .initialised(initialiser), isWide: shape.count < 2)
    }
}
