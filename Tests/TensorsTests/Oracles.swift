import Foundation
import Tensors

/// The oracles of the sequence mixers: their definitions in float64, one token at a time.
enum Oracle {
    /// o_t = Σ_s softmax_s(scale · q_t · k_s) v_s over the keys that query t sees, the scores capped unless `cap` is nil.
    static func attention(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, cap: Float? = nil, span: AttentionSpan = AttentionSpan(),
        sinkQueries: Tensor? = nil,
        documents: [Int]? = nil
    ) throws -> [Double] {
        let (batch, queries, heads, keyDim) = (q.shape[0], q.shape[1], q.shape[2], q.shape[3])
        let far = try sinkQueries.map { try doubles($0) }
        let (keys, keyHeads, valueDim) = (k.shape[1], k.shape[2], v.shape[3])
        let (q, k, v) = try (doubles(q), doubles(k), doubles(v))
        var out = [Double](repeating: 0, count: batch * queries * heads * valueDim)
        for b in 0..<batch {
            for t in 0..<queries {
                let position = keys - queries + t
                let (seen, first) = seen(position, span, keys: keys, documents: documents)
                for h in 0..<heads {
                    let head = h / (heads / keyHeads)
                    let query = ((b * queries + t) * heads + h) * keyDim
                    let scores = seen.map { s in
                        let key = ((b * keys + s) * keyHeads + head) * keyDim
                        let score =
                            (0..<keyDim).reduce(0.0) {
                                $0 + (s < first ? far ?? q : q)[query + $1] * k[key + $1]
                            } * Double(scale)
                        return capped(score, cap)
                    }
                    let row = ((b * queries + t) * heads + h) * valueDim
                    for (s, weight) in zip(seen, softmax(scores)) {
                        let value = ((b * keys + s) * keyHeads + head) * valueDim
                        for i in 0..<valueDim { out[row + i] += weight * v[value + i] }
                    }
                }
            }
        }
        return out
    }

    /// cap · tanh(x / cap); x for nil.
    static func capped(_ x: Double, _ cap: Float?) -> Double {
        cap.map { Double($0) * tanh(x / Double($0)) } ?? x
    }

    /// The slope of ``capped(_:_:)`` at x.
    static func capSlope(_ x: Double, _ cap: Float?) -> Double {
        cap.map { 1 / pow(cosh(x / Double($0)), 2) } ?? 1
    }

    /// The keys that a query at `position` sees, and the first that its window reaches.
    static func seen(_ position: Int, _ span: AttentionSpan, keys: Int, documents: [Int]?) -> ([Int], first: Int) {
        let start = documents?.last { $0 <= position } ?? 0
        let first = max(start, position - (span.window ?? keys) + 1)
        return (Array(start..<min(start + span.sinks, first)) + Array(first...position), first)
    }

    /// The recurrence of GSA (arXiv 2409.07146): K_t = a_t ⊙ K_{t-1} + (1 - a_t) ⊗ k_t, V_t alike,
    /// o_t = V_tᵀ softmax(scale · K_t q_t), with a_t = exp(f_t).
    static func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, state: GatedSlotState, documents: [Int]? = nil
    ) throws -> (out: [Double], keys: [Double], values: [Double]) {
        let (batch, tokens, heads, slots) = (q.shape[0], q.shape[1], q.shape[2], logGates.shape[3])
        let (keyHeads, keyDim, valueDim) = (k.shape[2], k.shape[3], v.shape[3])
        var (slotKeys, slotValues) = try (doubles(state.keys), doubles(state.values))
        let (q, k, v, gates) = try (doubles(q), doubles(k), doubles(v), doubles(logGates))
        var out = [Double](repeating: 0, count: batch * tokens * heads * valueDim)
        for b in 0..<batch {
            for t in 0..<tokens {
                if let documents, t > 0, documents.contains(t) {
                    slotKeys = slotKeys.map { _ in 0 }
                    slotValues = slotValues.map { _ in 0 }
                }
                for n in 0..<keyHeads {
                    let row = (b * tokens + t) * keyHeads + n
                    let first = (b * keyHeads + n) * slots
                    for m in 0..<slots {
                        let keep = exp(gates[row * slots + m])
                        let write = -expm1(gates[row * slots + m])
                        for i in 0..<keyDim {
                            let x = (first + m) * keyDim + i
                            slotKeys[x] = keep * slotKeys[x] + write * k[row * keyDim + i]
                        }
                        for i in 0..<valueDim {
                            let x = (first + m) * valueDim + i
                            slotValues[x] = keep * slotValues[x] + write * v[row * valueDim + i]
                        }
                    }
                    for h in n * (heads / keyHeads)..<(n + 1) * (heads / keyHeads) {
                        let query = (b * tokens + t) * heads + h
                        let logits = (0..<slots).map { m in
                            (0..<keyDim).reduce(0.0) {
                                $0 + slotKeys[(first + m) * keyDim + $1] * q[query * keyDim + $1]
                            } * Double(scale)
                        }
                        for (m, weight) in softmax(logits).enumerated() {
                            for i in 0..<valueDim {
                                out[query * valueDim + i] += weight * slotValues[(first + m) * valueDim + i]
                            }
                        }
                    }
                }
            }
        }
        return (out, slotKeys, slotValues)
    }

    static func softmax(_ logits: [Double]) -> [Double] {
        let largest = logits.max() ?? 0
        let weights = logits.map { exp($0 - largest) }
        let sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }
}
