import Checkpoints
import Support

extension MetricsEvent {
    /// How far the mixers are from the teacher's.
    public struct Alignment: Record {
        /// Steps of the run so far.
        public var step: Int
        /// The relative squared error of each layer's mixer; nil for a layer that is not aligned.
        public var layers: [Double?]

        /// A measurement at `step`, by layer.
        public init(step: Int, layers: [Double?]) { (self.step, self.layers) = (step, layers) }

        static let name = "alignment"
        var place: Int? { step }

        var fields: JSONObject {
            ["step": .integer(step), "layers": .array(layers.map { $0.map { .number($0) } ?? .null })]
        }

        init(_ fields: MetricsFields) throws {
            step = try fields.count("step")
            layers = try fields.numbers("layers").map { $0.isNaN ? nil : $0 }
        }
    }
}
