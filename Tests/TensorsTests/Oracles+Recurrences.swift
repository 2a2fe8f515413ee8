import Foundation
import Tensors

/// Recurrences over matrix states and their gradients in float64, one token at a time.
extension Oracle {
    /// Sizes of a recurrence's inputs, and these in float64.
    private struct RecurrenceArrays {
        let batch, tokens, heads, keyHeads, keyDim, valueDim, decayDim: Int
        let q, k, v, logDecays, betas: [Double]
        /// a and b of a generalised delta rule; none for others.
        let reads, writes: [Double]
        let scale: Double
        let starts: Set<Int>
        var group: Int { heads / keyHeads }
        var size: Int { keyDim * valueDim }

        init(_ inputs: Recurrence, documents: [Int]?) throws {
            (batch, tokens, heads) = (inputs.q.shape[0], inputs.q.shape[1], inputs.q.shape[2])
            (keyHeads, keyDim) = (inputs.k.shape[2], inputs.k.shape[3])
            (valueDim, decayDim) = (inputs.v.shape[3], inputs.logDecays.shape[3])
            (q, k, v, logDecays) = try (
                doubles(inputs.q), doubles(inputs.k), doubles(inputs.v), doubles(inputs.logDecays)
            )
            betas = try inputs.betas.map { try doubles($0) } ?? []
            reads = try inputs.rankOne.map { try doubles($0.reads) } ?? []
            writes = try inputs.rankOne.map { try doubles($0.writes) } ?? []
            scale = Double(inputs.scale)
            starts = Set((documents ?? []).dropFirst())
        }

        func decay(_ row: Int, _ channel: Int) -> Double {
            exp(logDecays[row * decayDim + (decayDim == keyDim ? channel : 0)])
        }

        /// A token's step from the state that it meets: that state decayed, what it lacks of v, and the next.
        func step(_ row: Int, _ t: Int, _ before: [Double]) -> (decayed: [Double], error: [Double], after: [Double]) {
            let decayed = before.indices.map { starts.contains(t) ? 0 : before[$0] * decay(row, $0 / valueDim) }
            var error = Array(v[row * valueDim..<(row + 1) * valueDim])
            if !betas.isEmpty {
                for i in 0..<size { error[i % valueDim] -= k[row * keyDim + i / valueDim] * decayed[i] }
            }
            let beta = betas.isEmpty ? 1 : betas[row]
            let recalled = recalled(row, t, before)
            let after = decayed.indices.map {
                decayed[$0] + k[row * keyDim + $0 / valueDim] * beta * error[$0 % valueDim]
                    + (recalled.isEmpty ? 0 : writes[row * keyDim + $0 / valueDim] * recalled[$0 % valueDim])
            }
            return (decayed, error, after)
        }

        /// What a generalised delta rule reads of the state that token t meets; none for others.
        func recalled(_ row: Int, _ t: Int, _ before: [Double]) -> [Double] {
            if reads.isEmpty { return [] }
            var sums = [Double](repeating: 0, count: valueDim)
            for i in 0..<size where !starts.contains(t) {
                sums[i % valueDim] += reads[row * keyDim + i / valueDim] * before[i]
            }
            return sums
        }
    }

    /// S_t = Diag(w_t) S_{t-1} + k_t u_tᵀ with u_t = v_t or β_t (v_t - S_{t-1}ᵀ (w_t ⊙ k_t)), and of a generalised delta rule
    /// b_t a_tᵀ S_{t-1} with it; o_t = scale · S_tᵀ q_t.
    static func recurrence(
        _ inputs: Recurrence, state: Tensor, documents: [Int]? = nil
    ) throws -> (out: [Double], state: [Double]) {
        let x = try RecurrenceArrays(inputs, documents: documents)
        var state = try doubles(state)
        var out = [Double](repeating: 0, count: x.batch * x.tokens * x.heads * x.valueDim)
        for head in 0..<x.batch * x.keyHeads {
            let place = head * x.size..<(head + 1) * x.size
            var running = Array(state[place])
            for t in 0..<x.tokens {
                let row = (head / x.keyHeads * x.tokens + t) * x.keyHeads + head % x.keyHeads
                running = x.step(row, t, running).after
                for query in row * x.group..<(row + 1) * x.group {
                    for i in 0..<x.size {
                        out[query * x.valueDim + i % x.valueDim] +=
                            x.scale * x.q[query * x.keyDim + i / x.valueDim] * running[i]
                    }
                }
            }
            state.replaceSubrange(place, with: running)
        }
        return (out, state)
    }

    /// Gradients of ``recurrence(_:state:documents:)`` by name: of q, k, v, log decays, betas, where there are some, and the
    /// initial state. Every state is kept.
    static func recurrenceBackward(
        _ gradient: Tensor, _ inputs: Recurrence, state: Tensor, finalGradient: Tensor?, documents: [Int]? = nil
    ) throws -> [(String, [Double])] {
        let x = try RecurrenceArrays(inputs, documents: documents)
        let (gradient, initial) = try (doubles(gradient), doubles(state))
        func zeros(_ count: Int) -> [Double] { Array(repeating: 0, count: count) }
        var (dq, dk, dv) = (zeros(x.q.count), zeros(x.k.count), zeros(x.v.count))
        var (decays, betas) = (zeros(x.logDecays.count), zeros(x.betas.count))
        var (reads, writes) = (zeros(x.reads.count), zeros(x.writes.count))
        var adjoints = try finalGradient.map { try doubles($0) } ?? zeros(initial.count)
        for head in 0..<x.batch * x.keyHeads {
            let place = head * x.size..<(head + 1) * x.size
            func row(_ t: Int) -> Int { (head / x.keyHeads * x.tokens + t) * x.keyHeads + head % x.keyHeads }
            var states = [Array(initial[place])]
            for t in 0..<x.tokens { states.append(x.step(row(t), t, states[t]).after) }
            var adjoint = Array(adjoints[place])
            for t in stride(from: x.tokens - 1, through: 0, by: -1) {
                let row = row(t)
                let (decayed, error, after) = x.step(row, t, states[t])
                let beta = x.betas.isEmpty ? 1 : x.betas[row]
                for query in row * x.group..<(row + 1) * x.group {
                    for i in 0..<x.size {
                        let part = x.scale * gradient[query * x.valueDim + i % x.valueDim]
                        dq[query * x.keyDim + i / x.valueDim] += part * after[i]
                        adjoint[i] += part * x.q[query * x.keyDim + i / x.valueDim]
                    }
                }
                var written = zeros(x.valueDim)
                for i in 0..<x.size {
                    written[i % x.valueDim] += x.k[row * x.keyDim + i / x.valueDim] * adjoint[i]
                    dk[row * x.keyDim + i / x.valueDim] += adjoint[i] * beta * error[i % x.valueDim]
                }
                for i in 0..<x.valueDim { dv[row * x.valueDim + i] = beta * written[i] }
                if !x.betas.isEmpty { betas[row] = zip(written, error).reduce(0) { $0 + $1.0 * $1.1 } }
                // What reaches the state before by what is read of it.
                let recalled = x.recalled(row, t, states[t])
                var returned = zeros(x.reads.isEmpty ? 0 : x.size), found = zeros(x.valueDim)
                if !x.reads.isEmpty {
                    for i in 0..<x.size {
                        let channel = row * x.keyDim + i / x.valueDim
                        writes[channel] += adjoint[i] * recalled[i % x.valueDim]
                        found[i % x.valueDim] += x.writes[channel] * adjoint[i]
                    }
                    for i in 0..<x.size where !x.starts.contains(t) {
                        let channel = row * x.keyDim + i / x.valueDim
                        reads[channel] += states[t][i] * found[i % x.valueDim]
                        returned[i] = x.reads[channel] * found[i % x.valueDim]
                    }
                }
                for i in 0..<x.size {
                    if !x.betas.isEmpty {
                        dk[row * x.keyDim + i / x.valueDim] -= decayed[i] * dv[row * x.valueDim + i % x.valueDim]
                        adjoint[i] -= x.k[row * x.keyDim + i / x.valueDim] * dv[row * x.valueDim + i % x.valueDim]
                    }
                    let channel = x.decayDim == x.keyDim ? i / x.valueDim : 0
                    decays[row * x.decayDim + channel] += adjoint[i] * decayed[i]
                    adjoint[i] *= x.starts.contains(t) ? 0 : x.decay(row, i / x.valueDim)
                    if !returned.isEmpty { adjoint[i] += returned[i] }
                }
            }
            adjoints.replaceSubrange(place, with: adjoint)
        }
        return [("q", dq), ("k", dk), ("v", dv), ("logDecays", decays)]
            + (x.betas.isEmpty ? [] : [("betas", betas)])
            + (x.reads.isEmpty ? [] : [("reads", reads), ("writes", writes)]) + [("state", adjoints)]
    }
}
