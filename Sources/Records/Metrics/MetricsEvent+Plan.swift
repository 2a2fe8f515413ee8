import Checkpoints
import Support

extension MetricsEvent {
    /// What a stage was to take of each rank's memory, and how fast it was to go.
    public struct Plan: Record {
        /// The stage's name.
        public var stage: String
        /// Bytes of the device's own memory.
        public var deviceBytes: Int
        /// Bytes of the host's memory that the device reads and writes.
        public var hostBytes: Int
        /// Layers that are computed again on the way back.
        public var recomputedLayers: Int
        /// Tokens of all ranks a second.
        public var tokensPerSecond: Double?

        /// The plan of `stage`.
        public init(
            stage: String, deviceBytes: Int, hostBytes: Int, recomputedLayers: Int, tokensPerSecond: Double?
        ) {
            (self.stage, self.deviceBytes, self.hostBytes) = (stage, deviceBytes, hostBytes)
            (self.recomputedLayers, self.tokensPerSecond) = (recomputedLayers, tokensPerSecond)
        }

        static let name = "plan"
        var place: Int? { nil }

        var fields: JSONObject {
            var fields: JSONObject = [
                "stage": .string(stage), "device_bytes": .integer(deviceBytes), "host_bytes": .integer(hostBytes),
                "recomputed_layers": .integer(recomputedLayers),
            ]
            if let tokensPerSecond { fields["tokens_per_second"] = .number(tokensPerSecond) }
            return fields
        }

        init(_ fields: MetricsFields) throws {
            stage = try fields.string("stage")
            deviceBytes = try fields.count("device_bytes")
            hostBytes = try fields.count("host_bytes")
            recomputedLayers = try fields.count("recomputed_layers")
            tokensPerSecond = try fields.optional("tokens_per_second", MetricsFields.number)
        }
    }
}
