import Checkpoints
import Support
import Tensors

/// A layer's token mixer: what lets a token see those before it. A mixer is one type in one file, with its
/// parameters, its conversion rule, a form over many tokens and a step, and the state that links calls. Those that remember in a
/// state of constant size write only what is their own, a ``LongMemory``.
public protocol TokenMixer: Sendable {
    /// The mixer's name in config.json and on the command line.
    static var name: String { get }

    /// Its name for people, and its source.
    static var title: String { get }

    /// Every parameter of this mixer in `layer`, each with its origin in conversion.
    /// - Throws: ``ModelError/configuration(key:expected:found:)`` when the configuration cannot be served.
    static func rules(_ configuration: ModelConfiguration, layer: Int) throws -> [ParameterRule]

    /// Takes its parameters from `parameters`, which holds what the rules list.
    init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws

    /// Mixes rows (B, T, D) causally.
    /// - Parameters:
    ///   - state: what earlier calls left of the B sequences, replaced by what later ones need. Nil for whole sequences.
    ///   - context: positions and document boundaries, the same for all layers.
    /// - Returns: what ``outputMap`` reads, (B, T, ·).
    func callAsFunction(_ input: NormedInput, state: MixerState?, context: MixerContext) throws -> Tensor

    /// The map that ends the mixer: to (B, T, D).
    var outputMap: Linear { get }

    /// The state of `rows` sequences that have not begun; of one on the processor, where keys and values are held as `cache`.
    func makeState(rows: Int, cache: CacheType) throws -> MixerState

    /// What `rows` rows in training take over from the rows before them, in which up to `tokens` stood.
    func makeCarriedState(rows: Int, tokens: Int) throws -> MixerState

    /// What the state of `layer` takes on `device`.
    static func stateCost(
        _ configuration: ModelConfiguration, layer: Int, on device: Device, cache: CacheType
    ) throws -> StateCost

    /// Floats that recording one token of `layer` keeps for the way back, beside those that every mixer keeps.
    static func activationFloats(_ configuration: ModelConfiguration, layer: Int) throws -> Int

    // MARK: Options

    /// The names of the options that conversion may be asked for, beside those that all mixers have.
    static var optionNames: [String] { get }

    /// What config.json holds under "moult.<name>" of a model that is converted as `request` says; nil for nothing.
    /// - Throws: ``ModelError/configuration(key:expected:found:)``, whose key is an option's name.
    static func options(_ request: MixerRequest) throws -> JSONObject?

    /// Tokens of softmax attention beside the mixer, at the mixers' positions; nil without.
    static func window(_ configuration: ModelConfiguration) throws -> Int?

    /// The mixer's own options; nil where it has none.
    static func description(_ configuration: ModelConfiguration) throws -> MixerDescription?

    /// The `model_type` of flash-linear-attention's models of this mixer; nil where there are none.
    static var flashLinearAttentionType: String? { get }

    /// The config.json of such a model.
    static func flashLinearAttentionFile(_ configuration: ModelConfiguration, dtype: DType) throws -> JSONObject
}

extension TokenMixer {
    public static func activationFloats(_ configuration: ModelConfiguration, layer: Int) -> Int { 0 }
    public static var optionNames: [String] { [] }
    public static func options(_ request: MixerRequest) -> JSONObject? { nil }
    public static func window(_ configuration: ModelConfiguration) -> Int? { nil }
    public static func description(_ configuration: ModelConfiguration) -> MixerDescription? { nil }
    public static var flashLinearAttentionType: String? { nil }
    public static func flashLinearAttentionFile(_ configuration: ModelConfiguration, dtype: DType) -> JSONObject {
        JSONObject()
    }
}

/// Memory of one sequence: bytes whatever its length, and bytes that every token adds.
public struct StateCost: Sendable, Equatable {
    /// Bytes whatever the sequence's length.
    public var constant: Int
    /// Bytes that every token adds.
    public var perToken: Int
    /// Of ``constant``, what fills token by token: the bytes of each token of a window, by the tokens that it holds.
    public var windows: [Int: Int]

    /// A cost of `constant` bytes, of which `windows` fill, and of `perToken` bytes for every token.
    public init(constant: Int, perToken: Int, windows: [Int: Int] = [:]) {
        (self.constant, self.perToken, self.windows) = (constant, perToken, windows)
    }

    /// Both costs together.
    public static func + (a: StateCost, b: StateCost) -> StateCost {
        StateCost(
            constant: a.constant + b.constant, perToken: a.perToken + b.perToken,
            windows: a.windows.merging(b.windows, uniquingKeysWith: +))
    }

    /// Bytes after `tokens` tokens.
    public func bytes(after tokens: Int) -> Int {
        constant + perToken * tokens - windows.reduce(0) { $0 + $1.value * max(0, $1.key - tokens) }
    }
}

/// What all mixers of one call share.
public struct MixerContext: Sendable {
    /// By what heads turn, by kind of layer.
    var turns: [LayerTurns]
    /// Ascending starts of packed documents, or nil when there is one.
    public let documents: Documents?
    /// The same documents where rows in training go on with those before them.
    var carried: CarriedDocuments?
    /// Where the first token stands.
    public var position = 0
    /// Where the one token of each row of a recorded step on a GPU stands, (B) int32: the step serves for all positions.
    public internal(set) var recordedPositions: Tensor?
    /// Shown the inputs of every linear map.
    var linearInputs: LinearInputs?
    /// Told what memories do with a token.
    var memoryUses: MemoryUses?

    init(turns: [LayerTurns], documents: Documents?, position: Int = 0) {
        (self.turns, self.documents, self.position) = (turns, documents, position)
    }
}

extension MixerContext {
    func requiredCarried() throws -> CarriedDocuments {
        guard let carried else {
            throw ModelError.input(expected: "rows that go on with those before them", found: "rows by themselves")
        }
        return carried
    }
}

/// What a mixer remembers of one sequence. A class, so that a step updates it in place; ``copy()`` forks it.
public protocol MixerState: AnyObject {
    /// Bytes held now.
    var byteCount: Int { get }
    /// An independent copy, which may share memory until either is written.
    func copy() -> MixerState

    /// What brings the state back to where it is now, on which nothing may have been read but one segment since.
    func undo() -> () -> Void

    /// Of rows in training: what they have left becomes what the next take over.
    func advance() throws

    /// Makes room for `positions` tokens in all, of which `count` have been read, so that a recorded step finds it.
    func reserve(_ positions: Int, count: Int) throws

    /// Row `row` of this state of several sequences becomes `other`, that of one, of which `count` tokens were read and for which
    /// there is room: for steps on a GPU.
    func put(_ other: any MixerState, at row: Int, count: Int) throws

    /// A state of its own of the sequence in row `row`.
    func taken(_ row: Int) throws -> any MixerState

    /// What stands for states like this one, that of one sequence, in a step on the processor that is captured.
    func captured(in step: CapturedStep) throws -> any MixerState

    /// Binds this state to what stands for it in row `row` of a step, which is about to take one more token.
    func bind(to place: any MixerState, row: Int) throws

    /// Adds all of the state to `snapshot`, under names that begin with `prefix`.
    func store(in snapshot: inout StateSnapshot, prefix: String) throws

    /// Takes over what a state of the same layer has stored. After an error the state is not to be used.
    /// - Throws: ``ModelError/state(name:expected:found:)`` when a part is missing or has another shape.
    func restore(_ snapshot: StateSnapshot, prefix: String) throws
}

extension MixerState {
    public func reserve(_ positions: Int, count: Int) {}
    public func advance() {}

    public func put(_ other: any MixerState, at row: Int, count: Int) throws { throw notTogether }
    public func taken(_ row: Int) throws -> any MixerState { throw notTogether }
    public func captured(in step: CapturedStep) throws -> any MixerState { throw notCaptured }
    public func bind(to place: any MixerState, row: Int) throws { throw notCaptured }
    private var notCaptured: ModelError {
        .input(expected: "a state of one sequence on the processor", found: "a state of type \(type(of: self))")
    }
    private var notTogether: ModelError {
        .input(expected: "a state of several sequences", found: "a state of type \(type(of: self))")
    }

    /// This state as that of a certain mixer.
    func required<State: MixerState>(as type: State.Type) throws -> State {
        guard let state = self as? State else {
            throw ModelError.input(expected: "a state of type \(type)", found: "\(Swift.type(of: self))")
        }
        return state
    }

    func requiredCache() throws -> any AttentionCache {
        guard let cache = self as? any AttentionCache else {
            throw ModelError.input(expected: "a state of keys and values", found: "\(type(of: self))")
        }
        return cache
    }
}
