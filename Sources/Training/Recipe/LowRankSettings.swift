import Models

/// Low-rank adapters of a stage (Hu et al. 2021, arXiv 2106.09685): beside each matrix that conversion reused a B A of
/// rank r is trained instead of the matrix itself, and becomes part of it when the stage ends. What conversion made is
/// trained as a whole.
public struct LowRankSettings: Sendable, Equatable {
    /// The rank, r; 0 for no adapters.
    public var rank = 0
    /// The paper's α, whose quotient α / r scales B A; nil for 2 r.
    public var alpha: Double?
    /// The linear maps that get adapters: names, in which * stands for anything.
    public var targets = ["*"]
    /// The adapters' learning rate, relative to that at which the stage would train their matrices. Full training's
    /// best rate times ten is theirs (Schulman et al. 2025, "LoRA Without Regret").
    public var rate = 10.0

    /// No adapters.
    public init() {}

    static let ranks = 0...65_536
    static let alphas = 1e-6...1e6
    static let rates = 0.0...1000

    /// α / r.
    private var scale: Double { alpha.map { $0 / Double(max(1, rank)) } ?? 2 }

    /// The rate of A or B relative to that of their matrix.
    ///
    /// The scale need stand in no product: a step of Adam's changes every element by about the rate, whatever the
    /// gradient's size, so that B trained at the rate η and multiplied by s in each product is s B trained at the rate
    /// s η, but for its decay, which follows the rate. What is held as B is therefore the paper's s B, and learns at s
    /// times the rate of A; merging is W + B A.
    func rate(isUp: Bool) -> Double { isUp ? rate * scale : rate }

    /// Whether the map with the weight `name` is among the ``targets``.
    func targets(_ name: String) -> Bool { targets.match(LowRankAdapter.map(ofWeight: name)) }

    /// A and B beside the map with the weight `rule`: A uniform to ±1/√I, as PEFT has it, and B zero.
    func parameters(beside rule: ParameterRule) -> [ParameterRule] {
        let names = LowRankAdapter.names(of: LowRankAdapter.map(ofWeight: rule.name))
        let (outputs, inputs) = (rule.shape[0], rule.shape[1])
        return [
            .new(names.down, shape: [rank, inputs], .uniform(limit: 1 / Double(max(1, inputs)).squareRoot())),
            .new(names.up, shape: [outputs, rank], .constant(0)),
        ]
    }

    // MARK: Checks

    /// Refuses what no stage of `kind` can have.
    func check(_ kind: StageConfiguration.Kind) throws {
        func require(_ condition: Bool, _ key: String, _ expected: String, _ found: String) throws {
            guard !condition else { return }
            throw TrainingError.option(name: "stage \(kind.rawValue): \(key)", expected: expected, found: found)
        }
        func range<Value>(_ range: ClosedRange<Value>) -> String { "\(range.lowerBound) to \(range.upperBound)" }
        try require(Self.ranks.contains(rank), "lora_rank", range(Self.ranks), "\(rank)")
        try require(Self.rates.contains(rate), "lora_rate", range(Self.rates), "\(rate)")
        if let alpha { try require(Self.alphas.contains(alpha), "lora_alpha", range(Self.alphas), "\(alpha)") }
        try require(
            rank == 0 || kind == .distil || kind == .finetune, "lora_rank",
            "0; only distil and finetune have adapters", "\(rank)")
        try require(
            rank > 0 || self == .init(), "lora_rank", "a rank, for what else is said of adapters", "\(rank)")
        try require(rank == 0 || !targets.isEmpty, "lora_targets", "at least one name of a linear map", "none")
    }

    /// Refuses targets that no map of `maps`, the weights that may have adapters, is meant by, and a rank that one of
    /// them cannot have.
    func check(_ kind: StageConfiguration.Kind, against maps: [ParameterRule]) throws {
        guard rank > 0 else { return }
        for pattern in targets where !maps.contains(where: { [pattern].match(LowRankAdapter.map(ofWeight: $0.name)) }) {
            throw TrainingError.option(
                name: "stage \(kind.rawValue): lora_targets",
                expected: "a linear map of reused weights, such as '*.q_proj', in which * stands for anything",
                found: "'\(pattern)'")
        }
        for rule in maps where targets(rule.name) && rank > rule.shape.min() ?? 0 {
            throw TrainingError.option(
                name: "stage \(kind.rawValue): lora_rank",
                expected: "at most \(rule.shape.min() ?? 0), the rank of "
                    + "'\(LowRankAdapter.map(ofWeight: rule.name))' \(rule.shape)",
                found: "\(rank)")
        }
    }
}
