extension ModelRecord {
    /// A model was trained.
    public struct Training: Codable, Sendable, Equatable {
        /// The version of Moult.
        public var moult: String
        /// The stages so far, in their order.
        public var stages: [Stage] = []
        /// Names of the files of text, the first of them.
        public var text: [String]
        /// How many files there were.
        public var textFiles: Int
        /// Names of the files that were held apart; none when a share of the text was.
        public var heldText: [String]
        /// The share of the text that was held apart, 0 where files were.
        public var heldShare: Double
        /// Tokens of a row.
        public var rowLength: Int
        /// The share of rows that were made to ask for what stands in them; nil where there were none.
        public var recallShare: Double?
        /// Nil when no stage needed one.
        public var teacher: Teacher?
        /// On the rows that were held apart, as far as they were measured.
        public var perplexity = Perplexity()
        /// Steps of the run that the model has had.
        public var step = 0
        /// Steps of the whole run.
        public var steps = 0
        /// Whether it is the run's model with the lowest perplexity, rather than its last.
        public var isBest = false

        /// What a stage has had so far.
        public struct Stage: Codable, Sendable, Equatable {
            /// The stage's name: align, select, distil or finetune.
            public var name: String
            /// Tokens that it was trained on.
            public var tokens: Int
            /// Steps that it took.
            public var steps: Int
            /// Tokens of a row, where it is not the run's.
            public var rowLength: Int?
            /// The rank of the low-rank adapters that it trained instead of the matrices themselves; nil for none.
            public var adapterRank: Int?

            /// A stage that has had `tokens` tokens in `steps` steps.
            public init(name: String, tokens: Int, steps: Int, rowLength: Int? = nil, adapterRank: Int? = nil) {
                (self.name, self.tokens, self.steps, self.rowLength) = (name, tokens, steps, rowLength)
                self.adapterRank = adapterRank
            }
        }

        /// The model that was learned from.
        public struct Teacher: Codable, Sendable, Equatable {
            /// The name of its folder or file.
            public var name: String
            /// How far its weights are from those of the model's source: relative, root mean squares of both. Nil when there
            /// was nothing to compare.
            public var difference: Double?

            /// The teacher called `name`.
            public init(name: String, difference: Double? = nil) { (self.name, self.difference) = (name, difference) }
        }

        /// Perplexity on rows that were held apart; nil where it was not measured.
        public struct Perplexity: Codable, Sendable, Equatable {
            /// Of the teacher.
            public var teacher: Double?
            /// Of the student, before this run and as it is.
            public var before: Double?
            /// Of the student as it is.
            public var after: Double?
            /// Rows that were read.
            public var rows = 0

            /// Nothing measured yet.
            public init() {}
        }

        /// A run that has not begun.
        public init(
            moult: String, text: [String], textFiles: Int, heldText: [String], heldShare: Double, rowLength: Int,
            recallShare: Double = 0, teacher: Teacher?
        ) {
            (self.moult, self.text, self.textFiles) = (moult, text, textFiles)
            (self.heldText, self.heldShare, self.rowLength) = (heldText, heldShare, rowLength)
            self.recallShare = recallShare > 0 ? recallShare : nil
            self.teacher = teacher
        }

        // Wraps, since a file may hold any numbers.
        /// Tokens of all stages.
        public var tokens: Int { stages.reduce(0) { $0 &+ $1.tokens } }
    }
}
