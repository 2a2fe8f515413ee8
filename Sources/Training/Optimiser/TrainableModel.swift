import Checkpoints
import Models
import Tensors

/// A model whose parameters are being trained: what the products read (the file's type, such as bfloat16), and for
/// every parameter that was ever trained its float32 master, which alone is updated.
public final class TrainableModel {
    public let configuration: ModelConfiguration
    public let rules: [ParameterRule]
    private var weights: [String: Tensor]
    private var masters: [String: Master] = [:]
    /// The parameters that the current stage trains, in the order of the rules.
    public private(set) var trained: [String] = []

    /// A trained parameter. A class, so that the optimiser changes its tensors in place.
    final class Master {
        /// float32. For a parameter that products read as float32 it is the weight itself.
        var value: Tensor
        /// What products read, where that is not float32.
        var copy: Tensor?
        /// The gradient of the step in hand arrives here.
        var variable: Variable?
        /// AdamW's running means of the gradient and of its square; nil outside of the stage that trains the parameter.
        var first: Tensor?
        var second: Tensor?

        init(value: Tensor, copy: Tensor?) { (self.value, self.copy) = (value, copy) }
    }

    /// - Parameter weights: every parameter that the configuration's rules list, none of them quantised.
    public init(_ configuration: ModelConfiguration, weights: [String: Tensor]) throws {
        self.configuration = configuration
        self.weights = weights
        rules = try DecoderModel.rules(configuration)
        for rule in rules {
            guard let weight = weights[rule.name] else {
                throw ModelError.missingParameter(name: rule.name, path: "model")
            }
            try weight.requirePlain("training", rule.name)
        }
    }

    /// Reads a Hugging Face folder or a .gguf file.
    /// - Parameter dtype: the type that products read; quantised files need one.
    public convenience init(_ files: ModelFiles, as dtype: DType?) throws {
        let configuration = try ModelConfiguration(files.configuration)
        let rules = try DecoderModel.rules(configuration)
        let parameters = try Parameters(rules, from: files.checkpoint, as: dtype)
        var weights: [String: Tensor] = [:]
        for rule in rules { weights[rule.name] = try parameters[rule.name] }
        try self.init(configuration, weights: weights)
    }

    /// The type that products read matrices in.
    var weightType: DType { weights[configuration.names.embedding]?.dtype ?? .float32 }

    /// Whether conversion made this parameter, rather than reuse one of the Transformer's.
    public static func isNew(_ rule: ParameterRule) -> Bool {
        if case .initialised = rule.origin { true } else { false }
    }

    // MARK: Stages

    /// Trains `names` from now on, with fresh means. What was trained before keeps its value.
    public func train(_ names: Set<String>) throws {
        for master in masters.values { (master.first, master.second, master.variable) = (nil, nil, nil) }
        trained = rules.map(\.name).filter(names.contains)
        for name in trained {
            let master = try master(name)
            master.first = try .zeros(master.value.shape)
            master.second = try .zeros(master.value.shape)
        }
    }

    func master(_ name: String) throws -> Master {
        if let master = masters[name] { return master }
        guard let weight = weights.removeValue(forKey: name) else {
            throw ModelError.missingParameter(name: name, path: "model")
        }
        let value = try weight.converted(to: .float32)
        let master = Master(value: value, copy: weight.dtype == .float32 ? nil : weight)
        masters[name] = master
        return master
    }

    /// Replaces the value of a parameter, such as by that of a checkpoint: float32.
    func restore(_ name: String, value: Tensor) throws {
        let master = try master(name)
        master.value = value
        if let copy = master.copy { master.copy = try value.converted(to: copy.dtype) }
    }

    /// The names of all parameters that have a master.
    var mastered: [String] { rules.map(\.name).filter { masters[$0] != nil } }

    // MARK: Models

    /// The model as it is now, for measuring.
    public func model() throws -> DecoderModel { try DecoderModel(configuration, parameters: Parameters(tensors())) }

    /// The model as it is now, whose trained parameters collect gradients on `tape`.
    func model(on tape: GradientTape) throws -> DecoderModel {
        var tensors = tensors()
        for name in trained {
            guard let tensor = tensors[name] else { continue }
            let master = try master(name)
            let watched = tape.watch(tensor, as: master.variable)
            master.variable = watched.variable
            tensors[name] = watched
        }
        return try DecoderModel(configuration, parameters: Parameters(tensors))
    }

    private func tensors() -> [String: Tensor] {
        var tensors = weights
        for (name, master) in masters { tensors[name] = master.copy ?? master.value }
        return tensors
    }

    /// The parameter `name` in the type in which files hold it.
    func stored(_ name: String) throws -> Tensor {
        if let master = masters[name] { return master.copy ?? master.value }
        guard let weight = weights[name] else { throw ModelError.missingParameter(name: name, path: "model") }
        return weight
    }
}
