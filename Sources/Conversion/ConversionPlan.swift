import Checkpoints
import Models
import Support
import Tensors

/// What a conversion will do with every tensor of the source and of the target, known before any weight is read.
public struct ConversionPlan: Sendable {
    /// The source's folder or file.
    public let sourcePath: String
    /// The source's dimensions.
    public let source: DecoderConfiguration
    /// The target's whole configuration.
    public let target: ModelConfiguration
    /// What was asked for.
    public let options: ConversionOptions
    /// One entry per tensor of the target, in file order.
    public let entries: [Entry]
    /// Tensors of the source that the target does not take.
    public let dropped: [Dropped]

    /// A tensor of the target.
    public struct Entry: Sendable, Equatable {
        /// The tensor's name in the target.
        public let name: String
        /// Extents, outermost first.
        public let shape: [Int]
        /// The type in which the target holds it.
        public let dtype: DType
        /// Where it comes from.
        public let action: Action
        /// Number of elements.
        public var count: Int { shape.reduce(1, *) }
    }

    /// Where a tensor of the target comes from.
    public enum Action: Sendable, Equatable {
        /// Taken from the source under the same name.
        case copied
        /// Taken from the source, where it has the name given.
        case renamed(from: String)
        /// Made of tensors of the source, in whose files the decoder's tensor `name` is not as it is here: as `recipe` says.
        case derived(name: String, recipe: TensorRecipe)
        /// Made new.
        case initialised(Initialiser)
    }

    /// A tensor of the source that is left behind.
    public struct Dropped: Sendable, Equatable {
        /// The tensor's name in the source.
        public let name: String
        /// Number of elements.
        public let count: Int
        /// Why it is left behind, in words.
        public let reason: String
    }

    /// Plans the conversion of `files`.
    /// - Throws: ``ConversionError`` when the source is not a Transformer of a known architecture, lacks a tensor, has
    ///   one of a wrong shape or one that nothing explains; `ModelError` when the target cannot be built.
    public init(_ files: ModelFiles, options: ConversionOptions) throws {
        let checkpoint = files.checkpoint
        let target = try Self.target(files, options: options)
        let described = Dictionary(
            checkpoint.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let derived = checkpoint as? DerivedCheckpoint
        var used: Set<String> = []
        entries = try DecoderModel.rules(target).map { rule in
            switch rule.origin {
            case .initialised(let initialiser):
                let dtype = rule.shape.count < 2 ? .float32 : options.dtype ?? Self.dtype(of: checkpoint)
                return Entry(name: rule.name, shape: rule.shape, dtype: dtype, action: .initialised(initialiser))
            case .reused(let name):
                guard let stored = described[name] else {
                    throw ConversionError.missingTensor(name: name, path: checkpoint.path)
                }
                guard stored.shape == rule.shape else {
                    throw ConversionError.tensorShape(
                        name: name, path: checkpoint.path, expected: rule.shape, found: stored.shape)
                }
                used.insert(name)
                return Entry(
                    name: rule.name, shape: rule.shape, dtype: Self.dtype(stored, rule, options),
                    action: Self.action(rule.name, from: name, derived?.recipe(of: name)))
            }
        }
        dropped =
            try checkpoint.tensors.filter { !used.contains($0.name) }.map { tensor in
                guard let reason = Self.reasonToDrop(tensor, tied: target.decoder.tiedEmbeddings) else {
                    throw ConversionError.unexplainedTensor(name: tensor.name, path: checkpoint.path)
                }
                return Dropped(name: tensor.name, count: tensor.shape.reduce(1, *), reason: reason)
            }
            + (derived?.unused ?? []).map {
                Dropped(name: $0.name, count: $0.count, reason: "a mask, which is computed")
            }
        sourcePath = files.path
        source = files.configuration
        self.target = target
        self.options = options
    }

    private static func action(_ name: String, from source: String, _ recipe: TensorRecipe?) -> Action {
        switch recipe {
        case nil: source == name ? .copied : .renamed(from: source)
        case .stored(source): source == name ? .copied : .renamed(from: source)
        case .some(let recipe): .derived(name: source, recipe: recipe)
        }
    }

    /// The configuration of the model to be made.
    private static func target(_ files: ModelFiles, options: ConversionOptions) throws -> ModelConfiguration {
        let source = try ModelConfiguration(files.configuration)
        let type = files.configuration.modelType
        guard files.family.isTransformer else {
            let what = type == "moult" ? "a model that is converted already" : "a recurrent model"
            throw ConversionError.source(
                path: files.path, expected: "a Transformer",
                found: "\(what) (model_type '\(type)'); train it with: moult train \(ShellWord.quoted(files.path)) "
                    + "--teacher SOURCE --data FILE --output RUN")
        }
        let assignment = try MixerAssignment(options.mixer, layers: source.decoder.layerCount)
        if let dtype = options.dtype, dtype != .float32, dtype != .bfloat16 {
            throw ConversionError.option(name: "dtype", expected: "f32 or bf16", found: dtype.rawValue)
        }
        let attention = try options.attention(source.decoder)
        let mixerOptions = try options.options(of: assignment.memories, source.decoder)
        let isFLA = options.profile == .fla
        if isFLA, !options.keptAttention.isEmpty, source.decoder.ropeScaling != nil {
            throw ConversionError.option(
                name: "keptAttention",
                expected: "a source without RoPE scaling in the fla profile, which cannot express it",
                found: "rope_scaling in \(files.path)")
        }
        var target = source
        let kept = options.keptAttention.layers(of: source.decoder.keyValueHeadCount)
        target.mixers = assignment.mixers.enumerated().map { layer, mixer in
            // What the source bounds itself, beside layers that see all, stays as it is.
            kept.contains(layer) || source.decoder.isLocal(layer) ? SoftmaxAttention.name : mixer
        }
        target.names = isFLA ? .flashLinearAttention : .huggingFace
        target.mixerOptions = mixerOptions
        let dtype = options.dtype ?? dtype(of: files.checkpoint)
        if isFLA {
            let asked = assignment.memories[0]
            let type = try MixerRegistry.mixer(named: asked).flashLinearAttentionType ?? asked
            let mixer = try MixerRegistry.mixer(flashLinearAttention: type)
            target.mixers = target.mixers.map { $0 == asked ? mixer.name : $0 }
            target.decoder.json = try mixer.flashLinearAttentionFile(target, dtype: dtype)
        } else {
            target.mixerOptions[SoftmaxAttention.name] = attention.json
            target.decoder.json = target.moultFile(attention, dtype: dtype)
        }
        return target
    }

    /// The type that a reused tensor is written in: vectors stay as they are (float32 when quantised).
    private static func dtype(_ stored: TensorDescription, _ rule: ParameterRule, _ options: ConversionOptions) -> DType
    {
        if rule.shape.count < 2 { return stored.format.dtype ?? .float32 }
        return options.dtype ?? stored.plainType
    }

    /// The type of most of the source's matrices, bfloat16 when they are quantised.
    private static func dtype(of checkpoint: any Checkpoint) -> DType {
        let matrices = checkpoint.tensors.filter { $0.shape.count >= 2 }
        let sizes = Dictionary(
            matrices.map { ($0.plainType, $0.byteCount) }, uniquingKeysWith: { $0 &+ $1 })
        let common = sizes.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key ?? .bfloat16
        return common == .float32 ? .float32 : .bfloat16
    }

    /// Why a tensor may be left behind, or nil when it may not.
    private static func reasonToDrop(_ tensor: TensorDescription, tied: Bool) -> String? {
        let name = tensor.name
        if name == "lm_head.weight", tied { return "tied to the embedding, which is kept" }
        if name.hasSuffix(".rotary_emb.inv_freq") || name.hasPrefix("rope_f") {
            return "rotary frequencies are computed from the configuration"
        }
        // Counters, masks and the like, which no Transformer of these architectures computes with.
        if tensor.count == 0 { return "it is empty" }
        if tensor.format.isOpaque || tensor.format.dtype.map({ !$0.isFloatingPoint && !$0.isQuantised }) ?? false {
            return "\(tensor.format.rawValue) is no type of weights"
        }
        return nil
    }
}

extension TensorDescription {
    /// The type in which a matrix is written when nothing else is asked for: its own, or bfloat16 when it is quantised.
    var plainType: DType { format.dtype.flatMap { $0.isQuantised ? nil : $0 } ?? .bfloat16 }
}
