import Foundation
import Synchronization
import Tensors

/// What the memory of a layer does with one token.
public struct MemoryUse: Sendable, Equatable {
    /// The layer, from 0 on.
    public let layer: Int
    /// The mixer's name, as "gsa".
    public let mixer: String
    /// The key/value heads that have a memory, n of N, by which all that follows is ordered.
    public let heads: [Int]
    /// The root of the sum of squares of each head's state, after the token (n).
    public let norms: [Float]
    /// How much of each head's state before the token is in the state after it, ⟨S_t, S_t-1⟩ / ⟨S_t-1, S_t-1⟩ (n); 0 where it was empty.
    public let kept: [Float]
    /// The share of the window's softmax attention in what each head reads, a mean over its query heads (n); empty without a window.
    public let windowShares: [Float]
    /// What becomes of slots; nil where the memory has none.
    public let slots: SlotUse?

    /// - Parameters:
    ///   - before: the elements of each head's state (n) before the token.
    ///   - windowLogits: of the window's share of each query head (n · G).
    init(
        layer: Int, mixer: String, heads: [Int], before: [[Float]], after: [[Float]], windowLogits: [Float],
        slots: SlotUse?
    ) {
        func product(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
        (self.layer, self.mixer, self.heads, self.slots) = (layer, mixer, heads, slots)
        norms = after.map { product($0, $0).squareRoot() }
        kept = zip(before, after).map { before, after in
            let size = product(before, before)
            return size > 0 ? product(after, before) / size : 0
        }
        let group = windowLogits.count / max(1, heads.count)
        windowShares =
            group == 0
            ? []
            : heads.indices.map { head in
                let shares = windowLogits[head * group..<(head + 1) * group].map { 1 / (1 + exp(-$0)) }
                return shares.reduce(0, +) / Float(group)
            }
    }
}

/// What one token does with the M slots of n key/value heads. It writes into each the share that it does not keep.
public struct SlotUse: Sendable, Equatable {
    /// Slots of a head, M.
    public let slots: Int
    /// The share of its contents that each slot keeps (n · M).
    public let kept: [Float]
    /// The probability with which each slot is read, a mean over the query heads of its head (n · M).
    public let read: [Float]

    /// - Parameters:
    ///   - queries: of all query heads (n · G · K).
    ///   - keys: of all slots after the token (n · M · K).
    ///   - scale: of their products.
    init(slots: Int, kept: [Float], queries: [Float], keys: [Float], scale: Float) {
        let heads = kept.count / slots
        let width = keys.count / kept.count
        let group = queries.count / (heads * width)
        var read = [Float](repeating: 0, count: kept.count)
        for head in 0..<heads {
            for query in head * group..<(head + 1) * group {
                let scores = (0..<slots).map { slot in
                    (0..<width).reduce(Float(0)) {
                        $0 + queries[query * width + $1] * keys[(head * slots + slot) * width + $1]
                    } * scale
                }
                let most = scores.max() ?? 0
                let weights = scores.map { exp($0 - most) }
                let sum = weights.reduce(0, +) * Float(group)
                for slot in 0..<slots { read[head * slots + slot] += weights[slot] / sum }
            }
        }
        (self.slots, self.kept, self.read) = (slots, kept, read)
    }
}

/// Collects what memories do with a token.
final class MemoryUses: Sendable {
    private let uses = Mutex<[MemoryUse]>([])

    var all: [MemoryUse] { uses.withLock { $0 } }

    func add(_ use: MemoryUse) { uses.withLock { $0.append(use) } }
}

extension DecoderModel {
    /// What the memories of all layers do with a token that one sequence goes on with; layers without a ``LongMemory`` are left out.
    /// - Parameter state: the sequence before the token, which it has read afterwards.
    /// - Throws: ``ModelError`` for a token that the model does not have, or more than one sequence.
    public func memoryUses(of token: Int32, state: DecoderState) throws -> [MemoryUse] {
        let uses = MemoryUses()
        _ = try hidden(
            ids: requireRectangle([[token]], documents: nil), state: state, documents: nil, recomputation: nil,
            carried: nil, uses: uses, progress: nil)
        return uses.all
    }
}
