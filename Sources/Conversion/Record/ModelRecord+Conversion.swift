extension ModelRecord {
    /// A Transformer became a recurrent model.
    public struct Conversion: Codable, Sendable, Equatable {
        /// The version of Moult.
        public var moult: String
        /// What replaces softmax attention, as it was asked for.
        public var mixer: String
        /// The mixers that do; nil in records of before there was a choice.
        public var mixers: [Mixer]?
        /// The mixers' profile: see `MixerProfile`.
        public var profile: String
        /// Slots per key/value head, M; nil where the mixers have none.
        public var slots: Int?
        /// Tokens of local softmax attention beside the mixers; 0 for none.
        public var window: Int
        /// Tokens at the beginning that bounded softmax attention sees; nil in records of before there were any.
        public var sinks: Int?
        /// Tokens that what keeps softmax attention sees; nil for all.
        public var attentionWindow: Int?
        /// Where it places them, in words; nil as the source does.
        public var attentionPositions: String?
        /// Layers that keep softmax attention; nil in records of before.
        public var keptLayers: [Int]?
        /// Single heads that keep softmax attention, as "LAYER:HEAD"; nil in records of before.
        public var keptHeads: [String]?
        /// Of the new parameters. A text, since JSON's numbers do not hold all seeds.
        public var seed: String
        /// Of the target's parameters, those taken from the source.
        public var reused: ConversionReport.Share
        /// Of the target's parameters, the new ones.
        public var initialised: ConversionReport.Share
        /// Of the source's parameters, those that were left behind.
        public var dropped: ConversionReport.Share
        /// Tensors that were made new, and that were left behind.
        var new: [Kind]
        var left: [Kind]
        /// Of the weights that were reused, by which the teacher is known.
        public var samples: WeightSamples

        /// A mixer, and the layers that have it.
        public struct Mixer: Codable, Sendable, Equatable {
            /// As config.json names it.
            public var name: String
            /// As people do, with its source.
            public var title: String
            /// Its own options in words; nil where it has none.
            public var options: String?
            /// From 0 on.
            public var layers: [Int]
        }

        /// Tensors whose names differ in the layer's number alone.
        struct Kind: Codable, Sendable, Equatable {
            var name: String
            var tensors: Int
            var parameters: Int
            /// How they were made, or why they were left behind.
            var how: String
        }
    }
}
