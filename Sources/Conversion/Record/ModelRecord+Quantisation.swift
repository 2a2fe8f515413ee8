extension ModelRecord {
    /// A model's weights were rounded.
    public struct Quantisation: Codable, Sendable, Equatable {
        /// The version of Moult.
        public var moult: String
        /// Bits of a code in the layers.
        public var bits: Int
        /// Bits of a code in the embedding and the head.
        public var embeddingBits: Int
        /// Inputs of an output that share a scale.
        public var groupSize: Int
        /// Tokens that the rounding was calibrated on; 0 for none.
        public var calibrationTokens: Int
        /// The name of the calibration's file; nil without one.
        public var calibrationText: String?
        /// Tensors that were rounded.
        public var rounded: Int
        /// Tensors that stayed as they were.
        public var kept: Int
        /// Bits of file per parameter.
        public var bitsPerParameter: Double
    }
}
