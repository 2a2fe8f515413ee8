/// The fused operations that every device provides. ``Tensor``'s methods check shapes and types and then call these,
/// so that a backend may take its arguments as valid.
///
/// Activations are of one of the device's ``DeviceTraits/precisions``. Weights of ``linear(_:weights:biases:)`` and ``embedding(_:table:)`` may be float32,
/// bfloat16 or float16; products of half-precision weights accumulate in float32. Shape letters: B batch, T tokens,
/// S keys, D model width, I and O inputs and outputs, H query heads, N key/value heads, K key dim, V value dim, M slots.
public protocol Backend: Sendable {
    /// A short name for reports, such as "cpu (avx2, oneDNN)".
    var name: String { get }

    /// Rows of `table` (R, D) picked by `ids`, int32 → (ids.count, D).
    func embedding(_ ids: Tensor, table: Tensor) throws -> Tensor

    /// One product per weight, all of the same input: x (..., I), weight (O, I), bias (O) or nil → (..., O).
    func linear(_ x: Tensor, weights: [Tensor], biases: [Tensor?]) throws -> [Tensor]

    /// ``Normalisation`` of the last dimension. Statistics in float32 or better.
    /// - Returns: the result, and what a backend wants to be given back for the gradients, here and below.
    func normalised(_ x: Tensor, _ norm: Normalisation) throws -> (result: Tensor, saved: Tensor?)

    /// x + y, element by element.
    func add(_ x: Tensor, _ y: Tensor) throws -> Tensor

    /// factor · x.
    func scaled(_ x: Tensor, by factor: Float) throws -> Tensor

    /// act(x), element by element.
    func activated(_ x: Tensor, _ activation: Activation) throws -> Tensor

    /// act(gate) · up, element by element.
    func gated(_ activation: Activation, gate: Tensor, up: Tensor) throws -> Tensor

    /// The results of a program, element by element or summed; see ``PointwiseCall``. Sums are taken in an order that
    /// depends on the shapes alone. At least one result is asked for, and no two are the same.
    func pointwise(_ call: PointwiseCall) throws -> [Tensor]

    /// x / √(Σ x² + ε) over the last dimension.
    func l2Normed(_ x: Tensor, epsilon: Float) throws -> Tensor

    /// ``ShortConvolution``, and where it is wanted the state after the last token.
    func shortConvolution(
        _ call: ShortConvolution, isStateWanted: Bool
    ) throws -> (result: Tensor, state: Tensor?)

    /// Rotates pairs (i, i + K/2) of each head of x (B, T, H, K) by angles position · frequency.
    /// `cosines` and `sines` are (R, K/2); token t uses row `offset + t`.
    func rope(_ x: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?) throws -> Tensor

    /// Causal softmax attention: q (B, T, H, K), k (B, S, N, K), v (B, S, N, V) → (B, T, H, V), S ≥ T.
    /// Query t sits at key position S - T + t and sees the last `window` positions up to its own (all when nil) and the
    /// first `sinks` of its document. `documents`, when given, are the ascending starts of packed documents among the keys
    /// (B = 1); a query sees only keys of its own document. `sinkQueries`, of q's shape, stand for q where a query sees a
    /// sink that no window reaches of the up to 64 queries that a device takes together; nil for q itself. Scores s =
    /// scale · q · k go through cap · tanh(s / cap), unless `cap` is nil.
    func attention(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, cap: Float?, span: AttentionSpan, sinkQueries: Tensor?,
        documents: Documents?
    ) throws -> (result: Tensor, saved: Tensor?)

    /// logsigmoid(x) / divisor: the log forget gate of GSA. Finite for every finite x.
    func logGate(_ x: Tensor, divisor: Float) throws -> Tensor

    /// Gated Slot Attention: q (B, T, H, K), k (B, T, N, K), v (B, T, N, V), logGates (B, T, N, M) ≤ 0,
    /// state keys (B, N, M, K) and values (B, N, M, V) → (B, T, H, V). `state` holds the initial state and is
    /// replaced by the final one; nil is the empty state, and asks for no final one. `documents` are ascending starts of packed documents (B = 1), the first being 0; the
    /// state is zeroed at every start but the first.
    func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, state: inout GatedSlotState?,
        documents: Documents?
    ) throws -> (result: Tensor, saved: [Tensor])

    /// Of x (B, T, N · G, W), G heads side by side for each of N = `count` key/value heads, those of the `heads`:
    /// (B, T, n · G, W).
    func pickHeads(_ x: Tensor, _ heads: HeadSet, of count: Int) throws -> Tensor

    /// (B, T, N · G, W), N = `count`, of which the `heads` are those of `some` (B, T, n · G, W) and the rest those of
    /// `others` (B, T, (N - n) · G, W); zeros where one is nil.
    func joinHeads(_ some: Tensor?, _ others: Tensor?, by heads: HeadSet, of count: Int) throws -> Tensor

    /// The outputs (B, T, H, V) of a recurrence. `state` (B, N, K, V), float32, holds the initial state and is replaced by
    /// the final one; nil is the empty state, and asks for no final one.
    func recurrence(_ inputs: Recurrence, state: inout Tensor?) throws -> (result: Tensor, saved: [Tensor])

    /// Where the `documents` of B rows of T tokens stand behind `past` places, the last of which hold, as far as they reach,
    /// the `before` tokens (B), int32, that each row's first document had; see ``CarriedDocuments``. On the processor B = 1.
    func documents(_ documents: Documents, behind past: Int, before: Tensor) throws -> Documents

    /// Keys or values x (B, T, N, K) and the constants `past` (B, P, N, K) before them; see ``CarriedDocuments`` and
    /// ``CarriedSelection``: (B, P + T, N, K), or (B, P, N, K) for the next. On the processor B = 1.
    func carriedRows(
        past: Tensor, _ x: Tensor, _ carried: CarriedDocuments, _ selection: CarriedSelection
    ) throws -> Tensor

    /// Of activations x (B, S, ...), the rows `start` ..< `start + count` of each of the B: (B, count, ...).
    func rows(_ x: Tensor, from start: Int, count: Int) throws -> Tensor

    /// x (B, ...), whose rows have whole multiples of 4 bytes, with zeros in the rows whose first document begins with them. On the processor B = 1.
    func carriedStates(_ x: Tensor, _ carried: CarriedDocuments) throws -> Tensor

    /// Of router logits (R, E) the weights (E, R), float32, of the `active` experts of each row that have its largest logits:
    /// their shares of softmax(logits), divided by their sum where `isNormalised`; 0 for the others.
    func routed(_ logits: Tensor, active: Int, isNormalised: Bool) throws -> Tensor

    /// The rows, int32, that each expert takes by its `weights` (E, R); nil where a device computes every expert for all.
    func rowsOfExperts(_ weights: Tensor) throws -> [Tensor]?

    /// Rows `ids` of x (R, D), all of them for nil, times `shares` (R), float32, unless nil.
    func takenRows(_ x: Tensor, at ids: Tensor?, by shares: Tensor?) throws -> Tensor

    /// Adds x, times `shares` (R), float32, unless nil, to rows `ids` of `sum` (R, D), all of them for nil.
    func addRows(_ x: Tensor, at ids: Tensor?, by shares: Tensor?, to sum: inout Tensor) throws

    /// w · x + (1 - w) · y with w = sigmoid(logits), one logit per head: x, y (B, T, H, V), logits (B, T, H).
    func mix(_ x: Tensor, _ y: Tensor, logits: Tensor) throws -> Tensor

    /// Logits hidden (..., D) · headᵀ (D, O) → (..., O), float32 whatever the activations are, capped unless `cap` is nil.
    func logits(_ hidden: Tensor, head: Tensor, cap: Float?) throws -> Tensor

    /// The index of the largest of each row of x (R, O), float32; of equal ones the first: (R) int32.
    func indicesOfLargest(_ x: Tensor) throws -> Tensor

    /// Negative log-likelihood of each target under softmax(hidden · headᵀ): hidden (R, D), head (O, D),
    /// targets R ids → R values, in nats. The logits of all rows are never held at once; unless `cap` is nil, they go
    /// through cap · tanh(logit / cap) first, here and in ``GradientBackend``.
    func negativeLogLikelihood(_ hidden: Tensor, head: Tensor, cap: Float?, targets: [Int32]) throws -> [Float]
}

/// The recurrent state of one GSA layer: slot keys (B, N, M, K) and slot values (B, N, M, V), float32.
public struct GatedSlotState: Sendable {
    /// Slot keys (B, N, M, K), float32.
    public var keys: Tensor
    /// Slot values (B, N, M, V), float32.
    public var values: Tensor

    /// A state of slots; the shapes are checked where it is used.
    public init(keys: Tensor, values: Tensor) {
        self.keys = keys
        self.values = values
    }

    /// The empty state.
    public static func zeros(
        batch: Int, heads: Int, slots: Int, keyDim: Int, valueDim: Int, on device: Device = .cpu
    ) throws -> GatedSlotState {
        GatedSlotState(
            keys: try .zeros([batch, heads, slots, keyDim], on: device),
            values: try .zeros([batch, heads, slots, valueDim], on: device))
    }

    /// Bytes of keys and values.
    public var byteCount: Int { keys.byteCount + values.byteCount }
}
