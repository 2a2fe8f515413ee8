import Checkpoints
import Models
import Tensors

/// Key/value heads of a student's layer that get their softmax attention back: with the teacher's projections, and without the
/// parameters of the mixer.
package struct HeadRestoration {
    /// The student's configuration with the heads kept.
    package let configuration: ModelConfiguration
    /// The layer's parameters that are others then, on the host, in the types of the student's.
    package let tensors: [String: Tensor]

    /// - Parameters:
    ///   - heads: of the layer's key/value heads, none of which has softmax attention.
    ///   - student, teacher: their parameters by name, on any device.
    package init(
        _ heads: HeadSet, layer: Int, of configuration: ModelConfiguration, student: (String) throws -> Tensor,
        teacher: (String) throws -> Tensor
    ) throws {
        self.configuration = try configuration.keeping(heads, layer: layer)
        let decoder = configuration.decoder
        let (own, other) = (configuration.names.mixer(layer), ParameterNames.huggingFace.mixer(layer))
        let group = decoder.headCount / decoder.keyValueHeadCount
        let hadMixer = try configuration.keptHeads(layer).complement(of: decoder.keyValueHeadCount).heads
        let left = hadMixer.indices.filter { !heads.contains(hadMixer[$0]) }
        tensors = try Self.rules(self.configuration, layer: layer).reduce(into: [:]) { tensors, rule in
            let (name, key) = (String(rule.name.dropFirst(own.count + 1)), rule.name)
            let mine = try student(key).to(.cpu)
            if case .initialised = rule.origin {
                // What heads have of their own stands in rows; the rest they share.
                if mine.shape != rule.shape {
                    tensors[key] = try mine.picking(left, of: mine.shape[0] / hadMixer.count)
                }
                return
            }
            switch name.prefix(while: { $0 != "." }) {
            case "o_proj" where mine.rank == 2:
                let theirs = try teacher("\(other).\(name)").to(.cpu)
                tensors[key] = try mine.replacing(heads.heads, of: group * decoder.headDim, by: theirs, columns: true)
            case "q_norm" where decoder.queryKeyNorm == .head, "k_norm" where decoder.queryKeyNorm == .head, "o_proj":
                // A bias, and a norm that all heads share, belong to none of them.
                if left.isEmpty {
                    tensors[key] = try teacher("\(other).\(name)").to(.cpu).converted(to: mine.dtype)
                }
            case let projection:
                let theirs = try teacher("\(other).\(name)").to(.cpu)
                let rows = (projection.hasPrefix("q_") ? group : 1) * decoder.headDim
                tensors[key] = try mine.replacing(heads.heads, of: rows, by: theirs, columns: false)
            }
        }
    }

    /// The parameters of the layer's mixer.
    private static func rules(_ configuration: ModelConfiguration, layer: Int) throws -> [ParameterRule] {
        try MixerRegistry.mixer(named: configuration.mixers[layer]).rules(configuration, layer: layer)
    }
}

extension Tensor {
    /// Of self, whose rows belong together by `size`, the groups `places`.
    fileprivate func picking(_ places: [Int], of size: Int) throws -> Tensor {
        let (values, width) = (try converted(to: .float32).array(Float.self), count / max(1, shape[0]))
        let rows = places.flatMap { values[$0 * size * width..<($0 + 1) * size * width] }
        return try Tensor(rows, shape: [places.count * size] + shape.dropFirst()).converted(to: dtype)
    }

    /// Self (R, C), or (R), with groups of `size` rows or columns replaced by `other`'s.
    fileprivate func replacing(_ places: [Int], of size: Int, by other: Tensor, columns: Bool) throws -> Tensor {
        guard other.shape == shape else {
            throw TensorError.shape(
                operation: "replacing", argument: "other", expected: "\(shape)", found: other.shape)
        }
        var values = try converted(to: .float32).array(Float.self)
        let others = try other.converted(to: .float32).array(Float.self), width = count / max(1, shape[0])
        for place in places {
            if columns {
                for row in 0..<shape[0] {
                    let range = row * width + place * size..<row * width + (place + 1) * size
                    values.replaceSubrange(range, with: others[range])
                }
            } else {
                let range = place * size * width..<(place + 1) * size * width
                values.replaceSubrange(range, with: others[range])
            }
        }
        return try Tensor(values, shape: shape).converted(to: dtype)
    }
}
