import Foundation
import Tensors

/// Gradients of the sequence mixers in float64, from the chain rule on their definitions, one token at a time.
extension Oracle {
    /// Gradients of ``attention(q:k:v:scale:cap:span:sinkQueries:documents:)``.
    static func attentionBackward(
        _ gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, scale: Float, cap: Float? = nil,
        span: AttentionSpan = AttentionSpan(), documents: [Int]? = nil
    ) throws -> (q: [Double], k: [Double], v: [Double]) {
        let (batch, queries, heads, keyDim) = (q.shape[0], q.shape[1], q.shape[2], q.shape[3])
        let (keys, keyHeads, valueDim) = (k.shape[1], k.shape[2], v.shape[3])
        let (gradient, q, k, v) = try (doubles(gradient), doubles(q), doubles(k), doubles(v))
        let scale = Double(scale)
        var dq = [Double](repeating: 0, count: q.count)
        var dk = [Double](repeating: 0, count: k.count)
        var dv = [Double](repeating: 0, count: v.count)
        for row in 0..<batch * queries * heads {
            let (b, t, h) = (row / heads / queries, row / heads % queries, row % heads)
            let position = keys - queries + t
            let (seen, _) = seen(position, span, keys: keys, documents: documents)
            let places = seen.map { (b * keys + $0) * keyHeads + h / (heads / keyHeads) }
            let scores = places.map { scale * dot(q, row, k, $0, keyDim) }
            let weights = softmax(scores.map { capped($0, cap) })
            let weightGradients = places.map { dot(gradient, row, v, $0, valueDim) }
            let mean = zip(weights, weightGradients).reduce(0) { $0 + $1.0 * $1.1 }
            for (index, (weight, weightGradient)) in zip(weights, weightGradients).enumerated() {
                let place = places[index]
                let score = weight * (weightGradient - mean) * scale * capSlope(scores[index], cap)
                for i in 0..<keyDim {
                    dq[row * keyDim + i] += score * k[place * keyDim + i]
                    dk[place * keyDim + i] += score * q[row * keyDim + i]
                }
                for i in 0..<valueDim { dv[place * valueDim + i] += weight * gradient[row * valueDim + i] }
            }
        }
        return (dq, dk, dv)
    }

    /// Gradients of GSA as arrays in float64, in the shapes of ``GatedSlotGradients``.
    struct GatedSlotGradientArrays {
        var q, k, v, logGates, keys, values: [Double]

        var named: [(String, [Double])] {
            [("q", q), ("k", k), ("v", v), ("logGates", logGates), ("keys", keys), ("values", values)]
        }
    }

    /// Gradients of ``gatedSlotAttention(q:k:v:logGates:scale:state:documents:)``: every state is kept, and every gate's
    /// gradient taken from its two uses, keeping and writing.
    static func gatedSlotAttentionBackward(
        _ gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, state: GatedSlotState,
        finalGradient: GatedSlotState?, documents: [Int]? = nil
    ) throws -> GatedSlotGradientArrays {
        let (batch, tokens, heads, slots) = (q.shape[0], q.shape[1], q.shape[2], logGates.shape[3])
        let (keyHeads, keyDim, valueDim) = (k.shape[2], k.shape[3], v.shape[3])
        let (gradient, q, k, v) = try (doubles(gradient), doubles(q), doubles(k), doubles(v))
        let gates = try doubles(logGates)
        let (initialKeys, initialValues) = try (doubles(state.keys), doubles(state.values))
        let scale = Double(scale)
        var result = GatedSlotGradientArrays(
            q: zeros(q.count), k: zeros(k.count), v: zeros(v.count), logGates: zeros(gates.count),
            keys: try finalGradient.map { try doubles($0.keys) } ?? zeros(initialKeys.count),
            values: try finalGradient.map { try doubles($0.values) } ?? zeros(initialValues.count))
        // Apart from the result, parts of which are lent where this is added to.
        var gateGradient = zeros(gates.count)

        for b in 0..<batch {
            for n in 0..<keyHeads {
                let first = (b * keyHeads + n) * slots
                var keyStates = [Array(initialKeys[first * keyDim..<(first + slots) * keyDim])]
                var valueStates = [Array(initialValues[first * valueDim..<(first + slots) * valueDim])]
                let starts = Set((documents ?? []).dropFirst())
                /// The state that token t meets.
                func before(_ t: Int, _ states: [[Double]]) -> [Double] {
                    starts.contains(t) ? zeros(states[t].count) : states[t]
                }
                for t in 0..<tokens {
                    let row = (b * tokens + t) * keyHeads + n
                    func advanced(_ state: [Double], _ x: [Double], _ dim: Int) -> [Double] {
                        state.indices.map { index in
                            let gate = gates[row * slots + index / dim]
                            return exp(gate) * state[index] - expm1(gate) * x[row * dim + index % dim]
                        }
                    }
                    keyStates.append(advanced(before(t, keyStates), k, keyDim))
                    valueStates.append(advanced(before(t, valueStates), v, valueDim))
                }
                // The gradients of the state after each token, and last of the initial one.
                var keyAdjoint = Array(result.keys[first * keyDim..<(first + slots) * keyDim])
                var valueAdjoint = Array(result.values[first * valueDim..<(first + slots) * valueDim])
                for t in stride(from: tokens - 1, through: 0, by: -1) {
                    let row = (b * tokens + t) * keyHeads + n
                    for query in row * (heads / keyHeads)..<(row + 1) * (heads / keyHeads) {
                        let weights = softmax(
                            (0..<slots).map { scale * dot(q, query, keyStates[t + 1], $0, keyDim) })
                        let reads = (0..<slots).map { dot(gradient, query, valueStates[t + 1], $0, valueDim) }
                        let mean = zip(weights, reads).reduce(0) { $0 + $1.0 * $1.1 }
                        for m in 0..<slots {
                            let logit = weights[m] * (reads[m] - mean) * scale
                            for i in 0..<keyDim {
                                result.q[query * keyDim + i] += logit * keyStates[t + 1][m * keyDim + i]
                                keyAdjoint[m * keyDim + i] += logit * q[query * keyDim + i]
                            }
                            for i in 0..<valueDim {
                                valueAdjoint[m * valueDim + i] += weights[m] * gradient[query * valueDim + i]
                            }
                        }
                    }
                    func retreat(
                        _ adjoint: inout [Double], _ state: [Double], _ x: [Double], _ dx: inout [Double], _ dim: Int
                    ) {
                        for index in adjoint.indices {
                            let gate = row * slots + index / dim, input = row * dim + index % dim
                            let keep = exp(gates[gate])
                            dx[input] += adjoint[index] * -expm1(gates[gate])
                            gateGradient[gate] += adjoint[index] * (state[index] * keep - x[input] * keep)
                            adjoint[index] *= starts.contains(t) ? 0 : keep
                        }
                    }
                    retreat(&keyAdjoint, before(t, keyStates), k, &result.k, keyDim)
                    retreat(&valueAdjoint, before(t, valueStates), v, &result.v, valueDim)
                }
                result.keys.replaceSubrange(first * keyDim..<(first + slots) * keyDim, with: keyAdjoint)
                result.values.replaceSubrange(first * valueDim..<(first + slots) * valueDim, with: valueAdjoint)
            }
        }
        result.logGates = gateGradient
        return result
    }

    /// The derivative of `loss` by each element of `x`, by central differences of steps that float32 holds exactly.
    static func differences(of x: Tensor, _ loss: (Tensor) throws -> Double) throws -> [Double] {
        let values = try x.array(Float.self)
        return try values.indices.map { index in
            let around = [values[index] - 1 / 2048, values[index] + 1 / 2048]
            let losses = try around.map { value in
                var moved = values
                moved[index] = value
                return try loss(Tensor(moved, shape: x.shape))
            }
            return (losses[1] - losses[0]) / (Double(around[1]) - Double(around[0]))
        }
    }

    private static func zeros(_ count: Int) -> [Double] { Array(repeating: 0, count: count) }

    /// Row `i` of x times row `j` of y.
    private static func dot(_ x: [Double], _ i: Int, _ y: [Double], _ j: Int, _ dim: Int) -> Double {
        (0..<dim).reduce(0) { $0 + x[i * dim + $1] * y[j * dim + $1] }
    }
}
