extension ModelRecord {
    /// A model's weights were rounded.
    public struct Quantisation: Codable, Sendable, Equatable {
        /// The version of Moult.
        public var moult: String
        /// Of a weight in the layers, and in the embedding and the head.
        public var bits: Int
        public var embeddingBits: Int
        public var groupSize: Int
        /// Tokens that the rounding was calibrated on, and the name of their file.
        public var calibrationTokens: Int
        public var calibrationText: String?
        /// Tensors that were rounded, and that stayed as they were.
        public var rounded: Int
        public var kept: Int
        public var bitsPerParameter: Double
    }
}
