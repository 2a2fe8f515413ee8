import Checkpoints
import Support
import Tensors

extension SoftmaxAttention {
    /// What config.json says of the softmax attention that a converted model keeps: whole layers, and single key/value heads
    /// of layers that another mixer has (retrieval heads; Wu et al. 2024, arXiv 2404.15574).
    public struct Options: Sendable, Equatable {
        /// Tokens that what is kept sees; nil for all.
        public var window: Int?
        /// Tokens at the beginning of every document that all bounded softmax attention of the model sees.
        public var sinks: Int
        /// The kept heads of layers with another mixer.
        public var heads: [Int: HeadSet]
        /// Where what is kept places tokens.
        public var positions: AttentionPositions

        /// What ``window`` may be.
        public static let windowRange = 1...1_048_576

        /// Options of these values; without arguments whole layers that see all tokens where the source has them.
        public init(
            window: Int? = nil, sinks: Int = 0, heads: [Int: HeadSet] = [:], positions: AttentionPositions = .source
        ) {
            (self.window, self.sinks, self.heads, self.positions) = (window, sinks, heads, positions)
        }

        /// Reads the options from a configuration; models of before there were any have no sinks and keep all tokens.
        /// - Throws: ``ModelError/configuration(key:expected:found:)``.
        init(_ configuration: ModelConfiguration) throws {
            self.init()
            guard let json = configuration.mixerOptions[SoftmaxAttention.name] else { return }
            let key = "moult.\(SoftmaxAttention.name)"
            guard case .object(let object) = json else {
                throw ModelError.configuration(key: key, expected: "an object", found: json.summary)
            }
            window = try object.integer("window", named: "\(key).window", in: Self.windowRange)
            sinks = try object.integer("sinks", named: "\(key).sinks", in: 0...AttentionSpan.mostSinks) ?? 0
            heads = try Self.heads(object["heads"] ?? .null, key: "\(key).heads", configuration)
            positions = try AttentionPositions(object, key: key)
            if positions != .source, let sliding = configuration.decoder.globalWindow {
                throw ModelError.configuration(
                    key: "\(key).positions",
                    expected: "nothing, nor log_scale, beside the source's own window of \(sliding) tokens",
                    found: positions.summary ?? "")
            }
        }

        private static func heads(
            _ json: JSONValue, key: String, _ configuration: ModelConfiguration
        ) throws -> [Int: HeadSet] {
            if json == .null { return [:] }
            let (layers, count) = (configuration.decoder.layerCount, configuration.decoder.keyValueHeadCount)
            let failure = ModelError.configuration(
                key: key, expected: "for each of some layers below \(layers) some of its \(count) key/value heads",
                found: json.summary)
            guard case .object(let object) = json, count <= HeadSet.mostHeads else { throw failure }
            return try object.pairs.reduce(into: [:]) { result, entry in
                guard let layer = Int(entry.key), (0..<layers).contains(layer), case .array(let numbers) = entry.value
                else {
                    throw failure
                }
                let heads = numbers.compactMap { $0.doubleValue.flatMap(Int.init(exactly:)) }
                let set = HeadSet(heads.filter { $0 < count })
                // All of a layer's heads are the layer itself.
                guard heads.count == numbers.count, set.count == heads.count, (1..<count).contains(set.count),
                    configuration.mixers[layer] != SoftmaxAttention.name
                else {
                    throw failure
                }
                result[layer] = set
            }
        }

        /// The options as the "moult.attention" object of config.json.
        public var json: JSONValue {
            var json: JSONObject = ["sinks": .integer(sinks)]
            if let window { json["window"] = .integer(window) }
            if !heads.isEmpty {
                json["heads"] = .object(
                    JSONObject(
                        heads.sorted { $0.key < $1.key }.map { layer, heads in
                            ("\(layer)", .array(heads.heads.map { .integer($0) }))
                        }))
            }
            positions.write(to: &json)
            return .object(json)
        }

        /// The version of the "moult" object that says so: 3 where kept attention has other positions than the source's,
        /// which 2 would not see.
        public var version: Int { positions == .source ? 2 : 3 }

        /// The kept heads in order.
        public var keptHeads: [KeptHead] {
            heads.sorted { $0.key < $1.key }.flatMap { layer, heads in
                heads.heads.map { KeptHead(layer: layer, head: $0) }
            }
        }

        /// What kept attention sees in a model whose own window is `sliding`, which has no sinks.
        func span(sliding: Int?) -> AttentionSpan {
            guard let window, window < sliding ?? .max else { return AttentionSpan(window: sliding) }
            return AttentionSpan(window: window, sinks: sinks)
        }
    }
}
