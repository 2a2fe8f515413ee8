import Support

/// What a stage takes on each rank's device and how fast it should go, as far as that can be told from what the models' files say of
/// themselves: before anything is loaded.
public struct StagePlan: Sendable, Equatable {
    /// Which stage.
    public var stage: StageConfiguration.Kind
    /// Bytes of the device's memory, by what they are for, in the order in which they are filled.
    public var device = Bytes()
    /// Bytes of the host's memory that the device reads and writes.
    public var host = Bytes()
    /// Layers, from the first on, that are computed again on the way back instead of being kept.
    public var recomputedLayers = 0
    /// Floating-point operations of its matrix products for a token.
    public var operationsPerToken = 0.0
    /// Tokens of all ranks a second; nil where nothing is known of the device.
    public var tokensPerSecond: Double?

    /// Bytes by what they are for.
    public struct Bytes: Sendable, Equatable {
        /// The weights that the student's products read.
        public var student = 0
        /// Float32 masters, and AdamW's means.
        public var optimiser = 0
        /// Gradients of what is trained, and of those that ranks share what is on its way.
        public var gradients = 0
        /// The teacher's weights.
        public var teacher = 0
        /// What is kept of layers for the way back.
        public var activations = 0
        /// What a layer and the loss need beside that.
        public var working = 0

        /// All of them.
        public var total: Int { student + optimiser + gradients + teacher + activations + working }

        fileprivate var parts: [(name: String, bytes: Int)] {
            [
                ("student", student), ("optimiser", optimiser), ("gradients", gradients), ("teacher", teacher),
                ("activations", activations), ("working", working),
            ]
        }
    }

    /// "distil: 65.3 GB (student 14.5 GB, optimiser …), host 87.0 GB, 12 layers computed again, about 9,100 tokens/s".
    public var text: String {
        func words(_ bytes: Bytes) -> String {
            bytes.parts.filter { $0.bytes > 0 }.map { "\($0.name) \(Figures.bytes(Double($0.bytes)))" }
                .joined(separator: ", ")
        }
        var text = "\(stage.rawValue): \(Figures.bytes(Double(device.total))) (\(words(device)))"
        if host.total > 0 { text += "; host \(Figures.bytes(Double(host.total))) (\(words(host)))" }
        if recomputedLayers > 0 { text += "; \(recomputedLayers) layers computed again" }
        if let tokensPerSecond { text += "; about \(Figures.short(tokensPerSecond)) tokens/s" }
        return text
    }
}
