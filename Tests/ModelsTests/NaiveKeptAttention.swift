import Foundation
import Models
import Tensors
import TestSupport

/// A model of one layer of softmax attention in float64, by the definitions: heads in `kept` as `options` say, the others over
/// all tokens by the source's positions.
struct NaiveKeptAttention {
    let model: DecoderModel
    let kept: HeadSet
    let options: SoftmaxAttention.Options

    /// Logits (T · vocabulary).
    func logits(_ tokens: [Int32]) throws -> [Double] {
        let decoder = model.configuration.decoder, width = decoder.hiddenSize
        func weight(_ name: String) throws -> [Double] {
            try model.parameter(name).converted(to: .float32).array(Float.self).map(Double.init)
        }
        func product(_ x: [[Double]], _ name: String) throws -> [[Double]] {
            let matrix = try weight(name), inputs = x[0].count
            return x.map { row in
                (0..<matrix.count / inputs).map { output in
                    var sum = 0.0
                    for index in 0..<inputs { sum += row[index] * matrix[output * inputs + index] }
                    return sum
                }
            }
        }
        func norm(_ x: [[Double]], _ name: String) throws -> [[Double]] {
            let weight = try weight(name)
            return x.map { row in
                let mean = row.reduce(0) { $0 + $1 * $1 } / Double(row.count)
                return zip(row, weight).map { $0 / (mean + Double(decoder.normEpsilon)).squareRoot() * $1 }
            }
        }
        let table = try weight("model.embed_tokens.weight")
        var x = tokens.map { Array(table[Int($0) * width..<(Int($0) + 1) * width]) }
        let layer = "model.layers.0"
        let input = try norm(x, "\(layer).input_layernorm.weight")
        let mixed = try attention(
            q: product(input, "\(layer).self_attn.q_proj.weight"),
            k: product(input, "\(layer).self_attn.k_proj.weight"),
            v: product(input, "\(layer).self_attn.v_proj.weight"))
        x = zip(x, try product(mixed, "\(layer).self_attn.o_proj.weight")).map { zip($0, $1).map(+) }
        let inner = try norm(x, "\(layer).post_attention_layernorm.weight")
        let gate = try product(inner, "\(layer).mlp.gate_proj.weight"),
            up = try product(inner, "\(layer).mlp.up_proj.weight")
        let gated = zip(gate, up).map { zip($0, $1).map { $0 / (1 + exp(-$0)) * $1 } }
        x = zip(x, try product(gated, "\(layer).mlp.down_proj.weight")).map { zip($0, $1).map(+) }
        return try product(norm(x, "model.norm.weight"), "model.embed_tokens.weight").flatMap { $0 }
    }

    private func attention(q: [[Double]], k: [[Double]], v: [[Double]]) -> [[Double]] {
        let decoder = model.configuration.decoder, dim = decoder.headDim
        let group = decoder.headCount / decoder.keyValueHeadCount
        func part(_ x: [Double], _ head: Int) -> [Double] { Array(x[head * dim..<(head + 1) * dim]) }
        let keys = k.indices.map { s in
            (0..<decoder.keyValueHeadCount).map { turned(part(k[s], $0), at: place(s, kept.contains($0))) }
        }
        return q.indices.map { t in
            (0..<decoder.headCount).flatMap { head -> [Double] in
                let other = head / group, isKept = kept.contains(other)
                let seen = (0...t).filter { !isKept || t - $0 < options.window ?? .max || $0 < options.sinks }
                let near = turned(part(q[t], head), at: place(t, isKept))
                let far = turned(part(q[t], head), at: place(t, isKept, isFarSink: true))
                let scores = seen.map { s -> Double in
                    let isFar = isKept && s < options.sinks && t - s >= options.window ?? .max
                    let (query, key) = (isFar ? far : near, keys[s][other])
                    var sum = 0.0
                    for index in 0..<dim { sum += query[index] * key[index] }
                    return sum / Double(dim).squareRoot() * scale(t, isKept)
                }
                let peak = scores.max() ?? 0, weights = scores.map { exp($0 - peak) }, sum = weights.reduce(0, +)
                var mixed = [Double](repeating: 0, count: dim)
                for (s, weight) in zip(seen, weights) {
                    for index in 0..<dim { mixed[index] += weight / sum * v[s][other * dim + index] }
                }
                return mixed
            }
        }
    }

    /// Where the token at `position` stands, as a query for a sink beyond its window or otherwise.
    private func place(_ position: Int, _ isKept: Bool, isFarSink: Bool = false) -> Double {
        guard isKept else { return Double(position) }
        guard let divisor = options.positions.divisor else { return 0 }
        let trained = (Double(model.configuration.decoder.maximumPositions - 1) * divisor).rounded(.down)
        let farthest = max(trained, Double((options.window ?? 0) + options.sinks + 128))
        return (isFarSink ? min(Double(position), farthest) : Double(position)) / divisor
    }

    private func scale(_ position: Int, _ isKept: Bool) -> Double {
        guard isKept, options.positions.hasLogScale else { return 1 }
        let seen = min(position + 1, options.window.map { $0 + options.sinks } ?? .max)
        return max(1, log(Double(seen)) / log(Double(model.configuration.decoder.maximumPositions)))
    }

    private func turned(_ x: [Double], at position: Double) -> [Double] {
        let half = x.count / 2
        return x.indices.map { index in
            let angle = position * pow(model.configuration.decoder.ropeTheta, -Double(index % half) / Double(half))
            return index < half
                ? x[index] * cos(angle) - x[index + half] * sin(angle)
                : x[index] * cos(angle) + x[index - half] * sin(angle)
        }
    }
}
