import Support

/// A family of source models as data: what its configuration says in the decoder's terms, and how the decoder's tensors are
/// made of those of its files. A new family is one type in one file, and an entry of ``Families/all``, or a value that a
/// program of its own gives to ``ModelFiles/open(_:families:)``.
public protocol Family: Sendable {
    /// The `model_type`s of config.json that are this family's.
    static var modelTypes: [String] { get }

    /// Whether it is a Transformer, which can be converted.
    static var isTransformer: Bool { get }

    /// The embedding's tensor in a folder, by which a model is known that something is wrapped around.
    static var embedding: String { get }

    /// The decoder that a config.json of this family describes, with the defaults of its class in transformers.
    /// - Throws: ``CheckpointError``.
    static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration

    /// Gives the tensors of a folder the names and shapes of the decoder's, which are Llama's and those of
    /// ``ParameterNames``. What is not named stays as it is.
    static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws

    /// How GGUF files have it; nil where llama.cpp does not.
    static var gguf: GGUFFamily? { get }
}

extension Family {
    public static var isTransformer: Bool { true }
    public static var embedding: String { "model.embed_tokens.weight" }
    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {}
    public static var gguf: GGUFFamily? { nil }
}

/// How GGUF files have a family. Most of their names are the same for all: see `GGUFNames`.
public struct GGUFFamily: Sendable {
    /// The `general.architecture`s of its files.
    public var architectures: [String]
    /// Whether the rows of q and k of a head are those of the two halves by turns, as llama.cpp's converter leaves them.
    public var interleavesHeads: Bool
    /// Whether it is a mixture of experts; others of the same architecture are not.
    public var hasExperts: Bool
    /// Adds to the keys of Llama's config.json those that the family's has beside them.
    public var configure: @Sendable (_ keys: GGUFKeys, _ json: inout JSONObject) throws -> Void
    /// As ``Family/derive(_:for:)``, of tensors that have the names of Llama's where they have the same meaning.
    public var derive: @Sendable (_ tensors: inout TensorDerivation, _ decoder: DecoderConfiguration) throws -> Void

    /// A family of these files.
    public init(
        _ architectures: String..., interleavesHeads: Bool = false, hasExperts: Bool = false,
        configure: @escaping @Sendable (GGUFKeys, inout JSONObject) throws -> Void = { _, _ in },
        derive: @escaping @Sendable (inout TensorDerivation, DecoderConfiguration) throws -> Void = { _, _ in }
    ) {
        (self.architectures, self.interleavesHeads, self.hasExperts) = (architectures, interleavesHeads, hasExperts)
        (self.configure, self.derive) = (configure, derive)
    }
}

/// The families that Moult knows.
public enum Families {
    /// All of them, in the order in which errors name them.
    public static let all: [any Family.Type] = [
        Llama.self, Mistral.self, Mixtral.self, Qwen2.self, Qwen3.self, Qwen3MoE.self, Phi3.self, Gemma2.self,
        Gemma3.self, Olmo2.self, SmolLM3.self, Granite.self, StarCoder2.self, GPTNeoX.self, GPT2.self,
        FlashLinearAttention.self, Moult.self,
    ]

    /// The family of a `modelType` that `file` says.
    /// - Throws: ``CheckpointError/unsupported(file:what:found:supported:)`` where there is none among `families`.
    static func family(
        of modelType: String?, in file: String, among families: [any Family.Type]
    ) throws -> any Family.Type {
        guard let modelType, let family = families.first(where: { $0.modelTypes.contains(modelType) }) else {
            throw CheckpointError.unsupported(
                file: file, what: "model_type", found: modelType ?? "(none)",
                supported: families.flatMap { $0.modelTypes }.joined(separator: ", "))
        }
        return family
    }

    /// The GGUF architectures of `families`, each once.
    static func architectures(_ families: [any Family.Type]) -> [String] {
        families.flatMap { $0.gguf?.architectures ?? [] }.reduce(into: []) { all, name in
            if !all.contains(name) { all.append(name) }
        }
    }

    /// The family of a GGUF file's architecture, of which there may be one with experts and one without.
    static func family(
        ofGGUF architecture: String, hasExperts: Bool, among families: [any Family.Type]
    ) -> (any Family.Type)? {
        let known = families.filter { $0.gguf?.architectures.contains(architecture) ?? false }
        return known.first { $0.gguf?.hasExperts == hasExperts } ?? known.first
    }
}
