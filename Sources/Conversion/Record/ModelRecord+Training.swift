extension ModelRecord {
    /// A model was trained.
    public struct Training: Codable, Sendable, Equatable {
        /// The version of Moult.
        public var moult: String
        public var stages: [Stage] = []
        /// Names of the files of text, the first of them.
        public var text: [String]
        /// How many files there were.
        public var textFiles: Int
        /// Names of the files that were held apart; none when a share of the text was.
        public var heldText: [String]
        public var heldShare: Double
        /// Tokens of a row.
        public var rowLength: Int
        /// The share of rows that were made to ask for what stands in them; nil where there were none.
        public var recallShare: Double?
        /// Nil when no stage needed one.
        public var teacher: Teacher?
        /// On the rows that were held apart, as far as they were measured.
        public var perplexity = Perplexity()
        /// The model's place in the run.
        public var step = 0
        public var steps = 0
        /// Whether it is the run's model with the lowest perplexity, rather than its last.
        public var isBest = false

        /// What a stage has had so far.
        public struct Stage: Codable, Sendable, Equatable {
            public var name: String
            public var tokens: Int
            public var steps: Int
            /// Tokens of a row, where it is not the run's.
            public var rowLength: Int?

            public init(name: String, tokens: Int, steps: Int, rowLength: Int? = nil) {
                (self.name, self.tokens, self.steps, self.rowLength) = (name, tokens, steps, rowLength)
            }
        }

        public struct Teacher: Codable, Sendable, Equatable {
            public var name: String
            /// How far its weights are from those of the model's source: relative, root mean squares of both. Nil when there
            /// was nothing to compare.
            public var difference: Double?

            public init(name: String, difference: Double? = nil) { (self.name, self.difference) = (name, difference) }
        }

        public struct Perplexity: Codable, Sendable, Equatable {
            public var teacher: Double?
            /// Of the student, before this run and as it is.
            public var before: Double?
            public var after: Double?
            /// Rows that were read.
            public var rows = 0

            public init() {}
        }

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
        public var tokens: Int { stages.reduce(0) { $0 &+ $1.tokens } }
    }
}
