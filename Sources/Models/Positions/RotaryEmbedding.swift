import Checkpoints
import Foundation
import Synchronization
import Tensors

/// Rotary position embedding (Su et al. 2021, arXiv 2104.09864): pair (i, i + K/2) of a head at position p turns by
/// the angle p · frequency[i]. Tables are made for the positions of one call, so that memory does not grow with the
/// stream.
public struct RotaryEmbedding: Sendable {
    /// K/2 frequencies, radians per token, scaled as the configuration says; for the lengths of texts up to the one from
    /// which they change, where they do.
    public let frequencies: [Float]
    /// What cosines and sines are multiplied by.
    let attentionFactor: Double
    /// Dimensions that turn, and as many as a head has.
    private let turning: Int
    private let headDim: Int
    /// Nil where nothing turns.
    private let base: Double?
    private let scaling: RopeScaling?
    private let tables = TableCache()

    /// The rotary positions of a model's layers, with their scaling; nil for none, which turn nothing.
    public init(_ configuration: DecoderConfiguration, _ rope: DecoderConfiguration.Rope?) {
        (headDim, turning) = (configuration.headDim, configuration.rotaryDim ?? configuration.headDim)
        (base, scaling) = (rope?.theta, rope?.scaling)
        attentionFactor = scaling?.attentionFactor ?? 1
        frequencies = Self.frequencies(headDim, turning, base, scaling, length: 0)
    }

    /// K/2 of them, of which those beyond the dimensions that turn are 0.
    private static func frequencies(
        _ headDim: Int, _ turning: Int, _ base: Double?, _ scaling: RopeScaling?, length: Int
    ) -> [Float] {
        guard let base else { return [Float](repeating: 0, count: headDim / 2) }
        let divisors = scaling?.divisors(headDim: turning, theta: base, length: length)
        let own = (0..<turning / 2).map { pair in
            Float(1 / pow(base, Double(2 * pair) / Double(turning)) / (divisors?[pair] ?? 1))
        }
        return own + [Float](repeating: 0, count: headDim / 2 - turning / 2)
    }

    /// Whether frequencies depend on a text's length at all.
    var changesWithLength: Bool { scaling?.longestUnchanged != nil }

    /// `length` as far as frequencies depend on it.
    func scaledLength(_ length: Int) -> Int {
        guard let longest = scaling?.longestUnchanged, length > longest else { return 0 }
        if case .longRope = scaling { return longest + 1 }
        return length
    }

    /// The frequencies of tokens that are placed by `positions` in a text of `length` tokens.
    func frequencies(_ positions: AttentionPositions, length: Int = 0) -> [Float] {
        guard let divisor = positions.divisor else { return frequencies.map { _ in 0 } }
        let length = scaledLength(length)
        let own = length == 0 ? frequencies : Self.frequencies(headDim, turning, base, scaling, length: length)
        return divisor == 1 ? own : own.map { Float(Double($0) / divisor) }
    }

    /// Cosines and sines (count, K/2) for positions `offset ..< offset + count`, none beyond `farthest`.
    /// - Parameters:
    ///   - positions: where tokens are placed.
    ///   - scale: what cosines and sines are multiplied by, for queries.
    ///   - length: of the text so far; nil up to the last of the positions.
    func table(
        offset: Int, count: Int, farthest: Int = .max, positions: AttentionPositions = .source, scale: LogScale? = nil,
        length: Int? = nil, on device: Device = .cpu
    ) throws -> RotaryTable {
        let key = TableCache.Key(
            offset: offset, count: count, farthest: farthest, divisor: positions.divisor, scale: scale,
            length: scaledLength(length ?? offset + count), device: device)
        guard device.traits.recordsWork else { return try table(key) }
        // Kept there: a recorded step must not wait for one.
        if let known = tables.known.withLock({ $0[key] }) { return known }
        let host = try table(key)
        let table = RotaryTable(cosines: try host.cosines.to(device), sines: try host.sines.to(device))
        tables.known.withLock {
            if $0.count >= TableCache.limit { $0.removeAll() }
            $0[key] = table
        }
        return table
    }

    private func table(_ key: TableCache.Key) throws -> RotaryTable {
        let (frequencies, count) = (
            frequencies(AttentionPositions(divisor: key.divisor), length: key.length), key.count
        )
        var cosines = [Float]()
        var sines = [Float]()
        cosines.reserveCapacity(count * frequencies.count)
        sines.reserveCapacity(count * frequencies.count)
        for position in key.offset..<key.offset + count {
            let scale = (key.scale?.factor(position) ?? 1) * attentionFactor
            for frequency in frequencies {
                let angle = Double(min(position, key.farthest)) * Double(frequency)
                cosines.append(Float(scale * cos(angle)))
                sines.append(Float(scale * sin(angle)))
            }
        }
        let shape = [count, frequencies.count]
        return RotaryTable(cosines: try Tensor(cosines, shape: shape), sines: try Tensor(sines, shape: shape))
    }
}

/// The tables that are on devices which record work, by their positions.
private final class TableCache: Sendable {
    struct Key: Hashable {
        let offset, count, farthest: Int
        let divisor: Double?
        let scale: LogScale?
        let length: Int
        let device: Device
    }
    static let limit = 64
    let known = Mutex<[Key: RotaryTable]>([:])
}

/// Cosines and sines, (T, K/2) each, for the positions of one call; or (B, K/2), for the positions of the rows of a step.
public struct RotaryTable: Sendable {
    /// cos(position · frequency), (T, K/2), float32.
    public let cosines: Tensor
    /// sin(position · frequency), (T, K/2), float32.
    public let sines: Tensor
    /// Whether there is one position for each sequence, T = 1.
    var isByRow = false
    /// Packed documents, at each of which positions begin again; nil where they run on.
    var documents: Documents?

    /// Takes over the values of another table of the same shape, on the processor.
    func overwrite(_ table: RotaryTable) throws {
        try cosines.overwrite(table.cosines.array(Float.self))
        try sines.overwrite(table.sines.array(Float.self))
    }

    /// A table of memory of its own on `device`, which may be overwritten.
    func copy(on device: Device) throws -> RotaryTable {
        RotaryTable(
            cosines: try Tensor(cosines.array(Float.self), shape: cosines.shape).to(device),
            sines: try Tensor(sines.array(Float.self), shape: sines.shape).to(device))
    }

    /// Turns queries (B, T, H, K) and keys (B, T, N, K).
    func callAsFunction(q: Tensor, k: Tensor) throws -> (q: Tensor, k: Tensor) {
        guard isByRow else {
            return try Tensor.rope(q: q, k: k, cosines: cosines, sines: sines, offset: 0, documents: documents)
        }
        func rows(_ x: Tensor) throws -> Tensor { try x.reshaped([1, x.shape[0], x.shape[2], x.shape[3]]) }
        let turned = try Tensor.rope(q: rows(q), k: rows(k), cosines: cosines, sines: sines, offset: 0)
        return (try turned.q.reshaped(q.shape), try turned.k.reshaped(k.shape))
    }

    /// Turns x (B, T, H, K).
    func callAsFunction(_ x: Tensor) throws -> Tensor {
        if isByRow {
            let (rows, heads, dim) = (x.shape[0], x.shape[2], x.shape[3])
            return try x.reshaped([1, rows, heads, dim]).rope(cosines: cosines, sines: sines, offset: 0)
                .reshaped(x.shape)
        }
        return try x.rope(cosines: cosines, sines: sines, offset: 0, documents: documents)
    }
}
