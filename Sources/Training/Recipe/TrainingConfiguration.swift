import Text

/// Everything that a training run depends on. A run's folder holds it in full, every default included.
public struct TrainingConfiguration: Sendable, Equatable {
    /// The model to train: a folder that `moult convert` wrote.
    public var model = ""
    /// The Transformer that it was made from; stages `align` and `distil` need it.
    public var teacher: String?
    /// Of the rows' order and of all that is random in a run.
    public var seed = 0
    /// Tokens of a row, T.
    public var length = 512
    /// The stages in their order.
    public var stages: [StageConfiguration] = []
    /// The text.
    public var data = Data()
    /// When and on how much is measured.
    public var validation = Validation()
    /// When the run is saved.
    public var checkpoints = Checkpoints()
    /// What activations kept for the way back may take, bytes: layers beyond it are computed again.
    public var activationMemory = 1_000_000_000
    /// Steps in a row whose gradients are not finite that end the run.
    public var patience = 10
    /// What is done when validation perplexity no longer falls.
    public var plateau = PlateauPolicy()

    /// What a row's length may be.
    static let lengths = 2...1 << 24
    /// What an answer's tokens may weigh.
    static let answerWeights = 1.0...1000

    /// The defaults, without a model, text or stages.
    public init() {}

    /// Tokens of a row of `stage`.
    func length(of stage: StageConfiguration) -> Int { stage.length ?? length }

    /// The text, and how it is read.
    public struct Data: Sendable, Equatable {
        /// Files, folders and patterns, each with a weight after = or all without.
        public var train: [String] = []
        /// The same to validate on; none holds a share of the training text apart.
        public var validation: [String] = []
        /// The share of the rows that is held apart where no text to validate on is named, 0 to 1.
        public var validationShare = 0.005
        /// The share of rows that ask for what stands in them rather than hold text, 0 to 0.999.
        public var recall = 0.0
        /// What a token of an answer in a recall row weighs in the loss of `distil` and `finetune`, other tokens being 1.
        public var answerWeight = 1.0
        /// The key that holds the text: see `DataOptions.textKey`.
        public var textKey = "text"
        /// What parts the documents of a .txt file; nil makes each file one document.
        public var separator: String?
        /// What to do with a record or a file that cannot be read.
        public var onError = DataOptions.ErrorPolicy.refuse
        /// The longest line of JSON that is read.
        public var maximumLineBytes = DataOptions().maximumLineBytes
        /// Where tokens are kept for the next run; nil is the run's own folder.
        public var cache: String?
    }

    /// When and on how much is measured.
    public struct Validation: Sendable, Equatable {
        /// Steps between two measurements; there is one at the end of every stage as well.
        public var every = 50
        /// Rows to measure on, at most, spread over all that are held apart.
        public var rows = 16
        /// Questions about what was read before, of lists of each length; 0 asks none.
        public var recallQuestions = 20
    }

    /// When a run is saved, and how often.
    public struct Checkpoints: Sendable, Equatable {
        /// Steps between two checkpoints; there is one at the end of every stage as well.
        public var every = 200
        /// Checkpoints to keep.
        public var keep = 2
    }

    /// Refuses what cannot be run.
    func validate() throws {
        func require(_ condition: Bool, _ name: String, _ expected: String, _ found: String) throws {
            if !condition { throw TrainingError.option(name: name, expected: expected, found: found) }
        }
        try require(!model.isEmpty, "model", "a folder that 'moult convert' wrote", "none")
        try require(!data.train.isEmpty, "data.train", "at least one file, folder or pattern", "none")
        try require(!stages.isEmpty, "stages", "at least one stage", "none")
        try require((0...Int(Int32.max)).contains(seed), "seed", "0 to \(Int32.max)", "\(seed)")
        let named = [("length", length)] + stages.map { ("stage \($0.kind.rawValue): length", self.length(of: $0)) }
        for (name, length) in named {
            let expected = "\(Self.lengths.lowerBound) to \(Self.lengths.upperBound)"
            try require(Self.lengths.contains(length), name, expected, "\(length)")
        }
        let share = RecallShare.range
        try require(
            share.contains(data.recall), "data.recall", "\(share.lowerBound) to \(share.upperBound)", "\(data.recall)")
        let weights = Self.answerWeights
        try require(
            weights.contains(data.answerWeight), "data.answerWeight",
            "\(weights.lowerBound) to \(weights.upperBound)", "\(data.answerWeight)")
        // So that no sum of tokens overflows.
        try require(stages.count <= 1000, "stages", "at most 1000 stages", "\(stages.count)")
        for stage in stages {
            let (limit, length) = (1 << 40, length(of: stage))
            let perStep = [stage.sequences, stage.accumulation, length].reduce(1) { product, factor in
                let (value, overflow) = product.multipliedReportingOverflow(by: factor)
                return factor < 1 || overflow ? 0 : value
            }
            try require(
                (1...limit).contains(perStep), "stage \(stage.kind.rawValue)",
                "sequences × accumulation × length of 1 to \(limit) tokens",
                "\(stage.sequences) × \(stage.accumulation) × \(length)")
            // Nor what a batch's activations take.
            try require(
                stage.sequences * length <= 1 << 28, "stage \(stage.kind.rawValue)",
                "sequences × length of at most \(1 << 28) tokens", "\(stage.sequences) × \(length)")
            try require(
                stage.carry == 1 || stage.kind == .distil || stage.kind == .finetune,
                "stage \(stage.kind.rawValue): carry", "1; only distil and finetune carry the state from row to row",
                "\(stage.carry)")
            let shares = StageConfiguration.carryShares
            try require(
                shares.contains(stage.carryShare), "stage \(stage.kind.rawValue): carry_share",
                "\(shares.lowerBound) to \(shares.upperBound)", "\(stage.carryShare)")
            try require(
                StageConfiguration.carries.contains(stage.carry) && stage.sequences * length * stage.carry <= 1 << 28,
                "stage \(stage.kind.rawValue): carry",
                "1 to \(StageConfiguration.carries.upperBound), and sequences × length × carry of at most \(1 << 28) tokens",
                "\(stage.sequences) × \(length) × \(stage.carry)")
        }
        for stage in stages { try stage.lowRank.check(stage.kind) }
        let heads = HeadSelection.Options.counts
        for stage in stages where stage.kind == .select {
            try require(
                heads.contains(stage.tokens), "stages: select", "\(heads.lowerBound) to \(heads.upperBound) heads",
                "\(stage.tokens)")
        }
        for stage in stages where teacher == nil && stage.kind != .finetune {
            try require(false, "teacher", "the Transformer for stage \(stage.kind.rawValue)", "none")
        }
    }
}
