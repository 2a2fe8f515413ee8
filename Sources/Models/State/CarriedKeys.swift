import Tensors

/// Keys and values that rows in training see of the rows before them, (B, P, N, K) each, as constants: of each row's first
/// document the last tokens, and where those are not all, its sinks.
final class CarriedKeys: AttentionCache {
    private let span: AttentionSpan
    private var keys: Tensor
    private var values: Tensor
    /// What the last rows have left to the next.
    private var next: (keys: Tensor, values: Tensor)?

    /// - Parameter tokens: the most that may stand before a row.
    init(rows: Int, heads: Int, dim: Int, span: AttentionSpan, tokens: Int, on device: Device) throws {
        self.span = span
        // A window of one token sees none of them, but a tensor has some.
        let places = max(1, min(tokens, span.window.map { $0 - 1 + span.sinks } ?? tokens))
        keys = try .zeros([rows, places, heads, dim], device.traits.precision.dtype, on: device)
        values = try .zeros([rows, places, heads, dim], device.traits.precision.dtype, on: device)
    }

    func attend(_ heads: AttentionHeads, context: MixerContext) throws -> Tensor {
        let carried = try context.requiredCarried()
        // The same when the layer is computed again: what is here changes when the rows are done.
        next = (
            try heads.k.past(after: keys, sinks: span.sinks, carried),
            try heads.v.past(after: values, sinks: span.sinks, carried)
        )
        return try heads.q.attention(
            k: heads.k.behind(keys, carried), v: heads.v.behind(values, carried), scale: heads.scale, cap: heads.cap,
            span: span,
            documents: carried.documents(behind: keys.shape[1]))
    }

    func advance() throws {
        guard let next else { return }
        try keys.take(next.keys)
        try values.take(next.values)
        self.next = nil
    }

    var byteCount: Int { keys.byteCount + values.byteCount }

    func store(in snapshot: inout StateSnapshot, prefix: String) throws {
        try snapshot.append("\(prefix)keys", keys.to(.cpu).converted(to: .float32))
        try snapshot.append("\(prefix)values", values.to(.cpu).converted(to: .float32))
    }

    func restore(_ snapshot: StateSnapshot, prefix: String) throws {
        func stored(_ name: String) throws -> Tensor {
            try snapshot.tensor("\(prefix)\(name)", shape: keys.shape).converted(to: keys.dtype).to(keys.device)
        }
        try keys.take(stored("keys"))
        try values.take(stored("values"))
    }

    func copy() -> MixerState { self }

    func undo() -> () -> Void { { [self] in next = nil } }
}
