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
    /// Where masters lie beside the copies that products read, with AdamW's means.
    private let memory: MemoryKind
    /// The types in which files hold the parameters.
    private var storedTypes: [String: DType]
    /// Who shares the masters and the optimiser's means of matrices.
    let team: RunTeam
    private let rotary: DecoderRotary
    var weights: [String: Tensor]
    var masters: [String: Master] = [:]
    /// The parameters that the current stage trains, in the order of the rules.
    public private(set) var trained: [String] = []
    /// Low-rank adapters that the current stage trains beside reused matrices.
    var adapters: [ParameterRule] = []
    /// Parameters that adapters have become part of.
    var replaced: Set<String> = []

    /// - Parameters:
    ///   - weights: every parameter that the configuration's rules list, none of them quantised.
    ///   - precision: what to compute in; nil for what `device` computes in unless asked.
    ///   - memory: where masters lie beside the copies that products read, with AdamW's means.
    ///   - team: who trains it together: what is said to be of all ranks is asked for by all.
    public init(
        _ configuration: ModelConfiguration, weights: [String: Tensor], device: Device = .cpu,
        precision: Precision? = nil, optimiserIn memory: MemoryKind = .device, team: RunTeam = RunTeam()
    ) throws {
        self.team = team
        self.precision = try device.precision(precision)
        self.memory = memory
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
                masters[name] = try makeMaster(
                    of: weight.converted(to: .float32), copy: weight.converted(to: type).to(device))
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
    ///   - memory: where masters lie beside the copies that products read, with AdamW's means.
    public convenience init(
        _ files: ModelFiles, as dtype: DType?, device: Device = .cpu, precision: Precision? = nil,
        optimiserIn memory: MemoryKind = .device, team: RunTeam = RunTeam()
    ) throws {
        let configuration = try ModelConfiguration(files.configuration)
        let rules = try DecoderModel.rules(configuration)
        let parameters = try Parameters(rules, from: files.checkpoint, as: dtype)
        var weights: [String: Tensor] = [:]
        for rule in rules { weights[rule.name] = try parameters[rule.name] }
        try self.init(
            configuration, weights: weights, device: device, precision: precision, optimiserIn: memory, team: team)
    }

    /// Whether the configuration is another than that of the files.
    private(set) var hasOtherConfiguration = false

    /// Gives a head of a layer its softmax attention back, with `teacher`'s projections: of all ranks. Nothing may be in training.
    func keep(_ head: KeptHead, teacher: DecoderModel) throws {
        let restoration = try HeadRestoration(
            HeadSet([head.head]), layer: head.layer, of: configuration,
            student: { try self.masters[$0].map(self.whole) ?? self.stored($0) }, teacher: teacher.parameter)
        (configuration, hasOtherConfiguration) = (restoration.configuration, true)
        rules = try DecoderModel.rules(configuration)
        for (name, tensor) in restoration.tensors {
            let type = device.traits.weightType(of: storedTypes[name] ?? .float32)
            let isWide = tensor.rank < 2 || storedTypes[name] == .float32 && type == .float32
            masters[name] = try makeMaster(
                of: tensor.converted(to: .float32), copy: isWide ? nil : tensor.converted(to: type).to(device))
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
        for master in masters.values { master.end() }
        trained = (rules + adapters).map(\.name).filter(names.contains)
        for name in trained { try master(name).begin() }
    }

    func master(_ name: String) throws -> Master {
        if let master = masters[name] { return master }
        guard let weight = weights.removeValue(forKey: name) else {
            throw ModelError.missingParameter(name: name, path: "model")
        }
        let master = try makeMaster(
            of: weight.to(.cpu).converted(to: .float32), copy: weight.dtype == .float32 ? nil : weight)
        masters[name] = master
        return master
    }

    /// - Parameters:
    ///   - value: float32, on the host.
    ///   - copy: what products read, where that is not float32.
    private func makeMaster(of value: Tensor, copy: Tensor?) throws -> Master {
        // A GPU's optimiser writes parts of weights where they stand, in bfloat16.
        let isShared = copy != nil || !device.traits.recordsWork
        let part = isShared ? team.part(of: value.shape) : nil
        return Master(
            shape: value.shape, part: part, value: try value.part(part).to(device, in: copy == nil ? .device : memory),
            copy: try part == nil ? copy : copy ?? value.to(device))
    }

    /// Replaces the value of a parameter, such as by that of a checkpoint: float32, on the host.
    func restore(_ name: String, value: Tensor) throws {
        let master = try master(name)
        master.value = try value.part(master.part).to(device, in: master.memory)
        if let copy = master.copy { master.copy = try value.converted(to: copy.dtype).to(device) }
    }

    /// The same of one of AdamW's means of it.
    func restoreMean(_ name: String, _ mean: ReferenceWritableKeyPath<Master, Tensor?>, value: Tensor) throws {
        let master = try master(name)
        master[keyPath: mean] = try value.part(master.part).to(device, in: master.memory)
    }

    /// The names of all parameters that have a master.
    var mastered: [String] { (rules + adapters).map(\.name).filter { masters[$0] != nil } }

    /// All of a parameter's float32 value on the host: of all ranks.
    func whole(_ master: Master) throws -> Tensor { try whole(master.value, of: master) }

    /// All of what `master` holds a part of, on the host: of all ranks.
    func whole(_ tensor: Tensor, of master: Master) throws -> Tensor {
        guard master.part != nil else { return try tensor.to(.cpu) }
        let all = try team.gather(tensor.to(device, in: .device), shape: master.shape, on: device).to(.cpu)
        // What came when another died is worth nothing, and must not be saved.
        try team.communicator.check()
        return all
    }

    // MARK: Models

    /// The model as it is now, for measuring.
    public func model() throws -> DecoderModel {
        try DecoderModel(configuration, parameters: Parameters(tensors()), rotary: rotary, precision: precision)
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
        for (name, master) in masters { tensors[name] = master.weight }
        return tensors
    }

    /// What products read of the parameter `name`.
    func weight(_ name: String) throws -> Tensor {
        guard let weight = masters[name]?.weight ?? weights[name] else {
            throw ModelError.missingParameter(name: name, path: "model")
        }
        return weight
    }

    /// The root mean square of the parameter `name`, of a large one from some of its rows.
    func strength(_ name: String) throws -> Double { try weight(name).sampledStrength() }

    /// The type in which files hold the parameter `name`.
    func storedType(_ name: String) -> DType {
        storedTypes[name] == .float32 ? .float32 : (masters[name]?.weight ?? weights[name])?.dtype ?? .float32
    }

    /// The parameter `name` on the host, with what an adapter adds to it, in the type in which files hold it: of all ranks.
    func stored(_ name: String) throws -> Tensor {
        let type = storedType(name)
        if let adapted = try adapted(name) { return try adapted.converted(to: type) }
        guard let master = masters[name] else {
            guard let weight = weights[name] else { throw ModelError.missingParameter(name: name, path: "model") }
            return try weight.to(.cpu)
        }
        return try master.weight.dtype == type ? master.weight.to(.cpu) : whole(master)
    }

    /// What ranks do that write nothing while another stores all parameters.
    func helpStore() throws {
        func help(_ name: String) throws {
            if let master = masters[name], master.part != nil { _ = try whole(master) }
        }
        for rule in rules {
            if let adapter = adapter(beside: rule.name) {
                for name in [adapter.down, adapter.up, rule.name] { try help(name) }
            } else if masters[rule.name]?.weight.dtype != storedType(rule.name) {
                try help(rule.name)
            }
        }
    }
}
