import Checkpoints
import Models
import Tensors

/// A model whose parameters are being trained: what the products read (the file's type, such as bfloat16), and for
/// every parameter that was ever trained its float32 master, which alone is updated.
public final class TrainableModel {
    /// The model's configuration; selecting heads changes it.
    public private(set) var configuration: ModelConfiguration
    /// All parameters of the model, in their order.
    public private(set) var rules: [ParameterRule]
    /// Where the model is trained.
    public let device: Device
    /// What it computes in.
    public let precision: Precision
    /// The types in which files hold the parameters.
    private var storedTypes: [String: DType]
    private let rotary: DecoderRotary
    var weights: [String: Tensor]
    var masters: [String: Master] = [:]
    /// The parameters that the current stage trains, in the order of the rules.
    public private(set) var trained: [String] = []
    /// Low-rank adapters that the current stage trains beside reused matrices.
    var adapters: [ParameterRule] = []
    /// Parameters that adapters have become part of.
    var replaced: Set<String> = []

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

        /// Hands the tensors to the optimiser, as their only owner, so that it changes them in place.
        func lend(gradient: Tensor, rateScale: Float, weightDecay: Float) throws -> AdamWParameter {
            guard let first, let second else {
                throw TensorError.range(
                    operation: "AdamW", argument: "means", expected: "those of the stage", found: "none")
            }
            defer {
                value = Self.nothing
                (self.first, self.second, self.copy) = (nil, nil, nil)
            }
            return AdamWParameter(
                value: value, gradient: gradient, first: first, second: second, copy: copy, rateScale: rateScale,
                weightDecay: value.rank > 1 ? weightDecay : 0)
        }

        func takeBack(_ parameter: AdamWParameter) {
            (value, copy) = (parameter.value, parameter.copy)
            (first, second) = (parameter.first, parameter.second)
        }

        /// Stands where a value is lent out.
        private static let nothing: Tensor = {
            do { return try .empty([0]) } catch { preconditionFailure("no memory at all: \(error)") }
        }()
    }

    /// - Parameters:
    ///   - weights: every parameter that the configuration's rules list, none of them quantised.
    ///   - precision: what to compute in; nil for what `device` computes in unless asked.
    public init(
        _ configuration: ModelConfiguration, weights: [String: Tensor], device: Device = .cpu,
        precision: Precision? = nil
    ) throws {
        self.precision = try device.precision(precision)
        self.configuration = configuration
        self.device = device
        self.weights = weights
        storedTypes = weights.mapValues(\.dtype)
        rotary = DecoderRotary(configuration.decoder)
        rules = try DecoderModel.rules(configuration)
        for rule in rules {
            guard let weight = weights[rule.name] else {
                throw ModelError.missingParameter(name: rule.name, path: "model")
            }
            try weight.requirePlain("training", rule.name)
        }
        // Of what files hold in another type than the products read, a master is kept from the start.
        for (name, weight) in weights {
            let type = device.traits.weightType(of: weight.dtype)
            if weight.rank > 1, weight.dtype != type {
                masters[name] = Master(
                    value: try weight.converted(to: .float32).to(device),
                    copy: try weight.converted(to: type).to(device))
                self.weights[name] = nil
            } else {
                self.weights[name] = try weight.to(device)
            }
        }
    }

    /// Reads a Hugging Face folder or a .gguf file.
    /// - Parameters:
    ///   - dtype: the type that products read; quantised files need one.
    ///   - precision: what to compute in; nil for what `device` computes in unless asked.
    public convenience init(
        _ files: ModelFiles, as dtype: DType?, device: Device = .cpu, precision: Precision? = nil
    ) throws {
        let configuration = try ModelConfiguration(files.configuration)
        let rules = try DecoderModel.rules(configuration)
        let parameters = try Parameters(rules, from: files.checkpoint, as: dtype)
        var weights: [String: Tensor] = [:]
        for rule in rules { weights[rule.name] = try parameters[rule.name] }
        try self.init(configuration, weights: weights, device: device, precision: precision)
    }

    /// Whether the configuration is another than that of the files.
    private(set) var hasOtherConfiguration = false

    /// Gives a head of a layer its softmax attention back, with `teacher`'s projections. Nothing may be in training.
    func keep(_ head: KeptHead, teacher: DecoderModel) throws {
        let restoration = try HeadRestoration(
            HeadSet([head.head]), layer: head.layer, of: configuration,
            student: { try self.masters[$0]?.value ?? self.stored($0) }, teacher: teacher.parameter)
        (configuration, hasOtherConfiguration) = (restoration.configuration, true)
        rules = try DecoderModel.rules(configuration)
        for (name, tensor) in restoration.tensors {
            let type = device.traits.weightType(of: storedTypes[name] ?? .float32)
            let isWide = tensor.rank < 2 || storedTypes[name] == .float32 && type == .float32
            masters[name] = Master(
                value: try tensor.converted(to: .float32).to(device),
                copy: isWide ? nil : try tensor.converted(to: type).to(device))
            weights[name] = nil
        }
        let names = Set(rules.map(\.name))
        weights = weights.filter { names.contains($0.key) }
        masters = masters.filter { names.contains($0.key) }
    }

    /// The type that products read matrices in.
    var weightType: DType { storedTypes[configuration.names.embedding] ?? .float32 }

    /// Whether conversion made this parameter, rather than reuse one of the Transformer's.
    public static func isNew(_ rule: ParameterRule) -> Bool {
        if case .initialised = rule.origin { true } else { false }
    }

    // MARK: Stages

    /// Trains `names` from now on, with fresh means. What was trained before keeps its value.
    public func train(_ names: Set<String>) throws {
        for master in masters.values { (master.first, master.second, master.variable) = (nil, nil, nil) }
        trained = (rules + adapters).map(\.name).filter(names.contains)
        for name in trained {
            let master = try master(name)
            master.first = try .zeros(master.value.shape, on: device)
            master.second = try .zeros(master.value.shape, on: device)
        }
    }

    func master(_ name: String) throws -> Master {
        if let master = masters[name] { return master }
        guard let weight = weights.removeValue(forKey: name) else {
            throw ModelError.missingParameter(name: name, path: "model")
        }
        let value = try weight.to(.cpu).converted(to: .float32).to(device)
        let master = Master(value: value, copy: weight.dtype == .float32 ? nil : weight)
        masters[name] = master
        return master
    }

    /// Replaces the value of a parameter, such as by that of a checkpoint: float32.
    func restore(_ name: String, value: Tensor) throws {
        let master = try master(name)
        master.value = try value.to(device)
        if let copy = master.copy { master.copy = try value.converted(to: copy.dtype).to(device) }
    }

    /// The names of all parameters that have a master.
    var mastered: [String] { (rules + adapters).map(\.name).filter { masters[$0] != nil } }

    // MARK: Models

    /// The model as it is now, for measuring.
    public func model() throws -> DecoderModel {
        try DecoderModel(configuration, parameters: Parameters(tensors()), rotary: rotary, precision: precision)
    }

    /// Gradients of zeros in the memory of the last ones, where recorded steps add to them.
    func clearGradients(_ gradients: some Sequence<(String, Tensor)>) throws {
        for (name, gradient) in gradients {
            try gradient.clear()
            try master(name).variable?.begin(with: gradient, staysInPlace: true)
        }
    }

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
        return try DecoderModel(configuration, parameters: Parameters(tensors), rotary: rotary, precision: precision)
    }

    private func tensors() -> [String: Tensor] {
        var tensors = weights
        for (name, master) in masters { tensors[name] = master.copy ?? master.value }
        return tensors
    }

    /// The root mean square of the parameter `name`, of a large one from some of its rows.
    func strength(_ name: String) throws -> Double {
        guard let tensor = masters[name]?.value ?? weights[name] else {
            throw ModelError.missingParameter(name: name, path: "model")
        }
        return try tensor.sampledStrength()
    }

    /// The parameter `name` on the host, with what an adapter adds to it, in the type in which files hold it.
    func stored(_ name: String) throws -> Tensor {
        let isWide = storedTypes[name] == .float32
        guard let held = masters[name].map({ (isWide ? nil : $0.copy) ?? $0.value }) ?? weights[name] else {
            throw ModelError.missingParameter(name: name, path: "model")
        }
        return try adapted(name)?.converted(to: held.dtype) ?? held.to(.cpu)
    }
}
