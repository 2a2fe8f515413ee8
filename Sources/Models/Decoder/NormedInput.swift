import Tensors

/// What a mixer or an MLP reads: rows (B, T, D) after the norm before it. Where nothing but linear maps reads them, the norm of few
/// rows on a GPU is done within those.
public final class NormedInput {
    private let rows: Tensor
    private let norm: Normalisation?
    private var normed: Tensor?

    /// Rows that are normed already, or are to be.
    public init(_ rows: Tensor, _ norm: Normalisation? = nil) {
        (self.rows, self.norm) = (rows, norm)
        if norm == nil { normed = rows }
    }

    /// Extents of the rows: B, T, D.
    public var shape: [Int] { rows.shape }

    /// The normed rows.
    public func tensor() throws -> Tensor {
        if let normed { return normed }
        let made = try norm.map { try rows.normalised($0) } ?? rows
        normed = made
        return made
    }

    /// Several linear maps of the rows: (B, T, O) each.
    func linear(_ maps: [Linear], _ context: MixerContext) throws -> [Tensor] {
        if normed == nil, context.linearInputs == nil, maps.allSatisfy({ $0.adapter == nil }),
            let found = try rows.fewRowsLinear(after: norm, maps.map(\.weight), biases: maps.map(\.bias))
        {
            return found
        }
        return try tensor().linear(maps, context)
    }

    /// act(gate) · up of two linear maps of the rows; without a gate act(up).
    func expanded(_ activation: Activation, gate: Linear?, up: Linear, _ context: MixerContext) throws -> Tensor {
        guard let gate else { return try linear([up], context)[0].activated(activation) }
        if context.linearInputs == nil, gate.adapter == nil, up.adapter == nil {
            let (gate, up) = ((gate.weight, gate.bias), (up.weight, up.bias))
            if normed == nil, let found = try rows.fewRowsGated(after: norm, activation, gate: gate, up: up) {
                return found
            }
            if let found = try tensor().fewRowsGated(after: nil, activation, gate: gate, up: up) { return found }
        }
        let inner = try linear([gate, up], context)
        return try Tensor.gated(activation, gate: inner[0], up: inner[1])
    }
}

/// What a mixer or an MLP gives: rows (B, T, D), or those before the last product, which is done as it is added.
enum BlockOutput {
    case rows(Tensor)
    /// map(rows).
    case product(Tensor, Linear)

    func tensor(_ context: MixerContext) throws -> Tensor {
        switch self {
        case .rows(let rows): rows
        case .product(let rows, let map): try rows.linear([map], context)[0]
        }
    }
}
