/// One stage of the recipe: what is minimised, over which parameters, for how many tokens, and how.
public struct StageConfiguration: Sendable, Equatable {
    /// What a stage minimises, and over which parameters.
    public enum Kind: String, Sendable, CaseIterable {
        /// Each mixer learns to give the teacher's mixer's output for the teacher's own input of its layer: relative
        /// squared error, summed over layers; only mixers are trained. (LoLCATs, arXiv 2410.10254, and MOHAWK,
        /// arXiv 2408.10189, call it attention transfer and hidden-state alignment.)
        case align
        /// Nothing is trained: key/value heads that bring recall back get their softmax attention back, as many as the stage
        /// has "tokens" (``HeadSelection``).
        case select
        /// The whole model learns the teacher's next-token distributions: KL(teacher ‖ student) (arXiv 1503.02531).
        case distil
        /// The whole model learns the text: cross-entropy.
        case finetune
    }

    /// What the learning rate of a matrix is relative to.
    public enum Rates: String, Sendable, CaseIterable {
        /// Nothing: an update changes every element by about the rate.
        case absolute
        /// What the matrix itself is: the rate is that of a matrix whose root mean square is 0.19, as in the model that the recipe was
        /// tuned on, and of a map that conversion made that of one whose input is as strong as there.
        case relative
    }

    /// What is minimised, and over which parameters.
    public var kind: Kind
    /// The stage's budget.
    public var tokens: Int
    /// Tokens of a row; nil is the run's ``TrainingConfiguration/length``.
    public var length: Int?
    /// Rows of a text that go through one behind another, in as many steps: each begins with the state that the one before it
    /// has left, and no gradient goes back there. 1 for rows by themselves.
    public var carry = 1
    /// The share of rows that do; the others are ordinary ones beside them.
    public var carryShare = 1.0
    /// Rows of a batch.
    public var sequences = 2
    /// Batches whose gradients are added up before an update.
    public var accumulation = 1
    /// The learning rate over the stage's steps.
    public var schedule = Schedule()
    /// The learning rate of parameters that conversion made, relative to that of reused ones.
    public var newParameterRate = 1.0
    /// What the learning rate of a matrix is relative to.
    public var rates = Rates.absolute
    /// How parameters are updated.
    public var optimiser = AdamW()
    /// Parameters that are not trained: names, in which * stands for anything.
    public var freeze: [String] = []
    /// Adapters of `distil` and `finetune`.
    public var lowRank = LowRankSettings()
    /// The share of the divergence from the teacher in the loss of `distil`; the rest is cross-entropy.
    public var teacherShare = 1.0
    /// Mixers that `align` trains in one pass over the teacher; fewer need less memory for the optimiser and as many
    /// passes more. 0 trains all.
    public var layersAtOnce = 0

    /// The defaults of a stage of `kind`.
    public init(_ kind: Kind, tokens: Int) {
        (self.kind, self.tokens) = (kind, tokens)
        if kind != .finetune { rates = .relative }
        switch kind {
        // For small budgets of small steps, measured on SmolLM2-135M; see docs/recipe.md.
        case .align: (schedule.peak, newParameterRate, schedule.warmUpSteps, optimiser.clip) = (2e-3, 10, 20, 5)
        case .distil: (schedule.peak, newParameterRate, schedule.warmUpSteps, optimiser.clip) = (1e-4, 5, 20, 1)
        case .select: break
        // As published for converted models.
        case .finetune: (schedule.peak, schedule.warmUpSteps, optimiser.clip) = (3e-5, 1000, 1)
        }
    }

    /// What ``carry`` may be.
    static let carries = 1...4096
    /// What ``carryShare`` may be.
    static let carryShares = 0.001...1

    /// Reads "align=4.9M,distil=11.5M@4096,distil=2M@1024x8,finetune=0": kinds in any order and number, with the length of a
    /// stage's rows behind @ where it is not the run's, and behind x how many of them carry the state on; a budget of 0
    /// leaves the stage out. Batches of longer rows have fewer of them, for it is the number of steps that counts.
    /// - Parameter length: tokens of the run's rows.
    /// - Throws: ``TrainingError/option(name:expected:found:)``.
    public static func list(_ text: String, length: Int = .max) throws -> [StageConfiguration] {
        let stages = try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            let sides = part.split(separator: "=", maxSplits: 1).map { $0.trimmingPrefix { $0 == " " } }
            let parts = sides.last?.split(separator: "@", omittingEmptySubsequences: false) ?? []
            let rows = parts.dropFirst().first?.split(separator: "x", omittingEmptySubsequences: false) ?? []
            let own = rows.first.map { Quantity.count(String($0)) }
            let carry = rows.dropFirst().first.map { Int($0) }
            guard sides.count == 2, let kind = Kind(rawValue: String(sides[0])), 1...2 ~= parts.count, rows.count <= 2,
                let tokens = Quantity.count(String(parts[0])),
                own.map({ $0.map(TrainingConfiguration.lengths.contains) ?? false }) ?? true,
                carry.map({ $0.map(carries.contains) ?? false }) ?? true
            else {
                let kinds = Kind.allCases.map(\.rawValue).joined(separator: ", ")
                throw TrainingError.option(
                    name: "stages",
                    expected: "STAGE=TOKENS, STAGE=TOKENS@LENGTH or STAGE=TOKENS@LENGTHxROWS, … with \(kinds), such as "
                        + "align=400k,distil=1.2M@4096",
                    found: "'\(part)'")
            }
            var stage = StageConfiguration(kind, tokens: tokens)
            (stage.length, stage.carry) = (own ?? nil, (carry ?? nil) ?? 1)
            if let own = stage.length, own > length { stage.sequences = max(1, stage.sequences * length / own) }
            return stage
        }.filter { $0.tokens > 0 }
        guard !stages.isEmpty else {
            throw TrainingError.option(name: "stages", expected: "at least one stage with tokens", found: "'\(text)'")
        }
        return stages
    }

    /// Updates of the stage, with rows of `length` tokens.
    public func steps(length: Int) -> Int {
        if kind == .select { return 0 }
        let perStep = sequences * accumulation * length
        return (tokens + perStep - 1) / perStep
    }
}

/// Numbers as people write them.
enum Quantity {
    /// "4.9M" → 4,900,000; k, M and G (or B) are powers of a thousand; nil for what is none, a part of one, or
    /// beyond 10^15.
    static func count(_ text: String) -> Int? {
        let factors: [Character: Double] = ["k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6, "g": 1e9, "G": 1e9, "B": 1e9]
        let factor = text.last.flatMap { factors[$0] }
        guard let number = Double(factor == nil ? text : String(text.dropLast())), number >= 0 else { return nil }
        let value = (number * (factor ?? 1)).rounded()
        guard value <= 1e15, factor != nil || value == number else { return nil }
        return Int(value)
    }
}
