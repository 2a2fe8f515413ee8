/// The backward operations, losses and optimiser of a device: what training needs beside the forward operations of
/// ``Backend``. The gradient tape and the checked methods of ``Tensor`` call these; arguments are taken as valid.
///
/// Gradients are float32 and have the shape of what they are the gradient of. Where a gradient is added to an `inout`
/// tensor, several uses of one parameter add up. Sums are taken in an order that depends on the shapes alone: a result
/// is the same to the bit from run to run, whatever the number of threads. Shape letters are those of ``Backend``, with
/// R rows: all leading dimensions together.
public protocol GradientBackend: Sendable {
    // MARK: Products

    /// The gradient of the input of ``Backend/linear(_:weights:biases:)``: Σ dy · W over gradients dy (..., O) and
    /// weights W (O, I) → (..., I).
    func linearBackward(_ gradients: [Tensor], weights: [Tensor]) throws -> Tensor

    /// weight += dyᵀ · x: dy (..., O), x (..., I), `weight` the gradient (O, I) of a weight, nil while it is zero. `half`
    /// allows dy and x to be rounded to bfloat16, where the processor multiplies bfloat16; the sums stay float32.
    func accumulateLinearGradient(_ gradient: Tensor, x: Tensor, into weight: inout Tensor?, half: Bool) throws

    /// bias += the sum of the rows of dy (..., O): `bias` is the gradient (O) of a bias.
    func accumulateColumnSums(_ gradient: Tensor, into bias: inout Tensor) throws

    /// Adds row i of dy (ids.count, D) to row ids[i] of `table`, the gradient (R, D) of an embedding.
    func accumulateEmbeddingGradient(_ gradient: Tensor, ids: Tensor, into table: inout Tensor) throws

    // MARK: Element by element

    /// y += scale · x.
    func accumulate(_ x: Tensor, into y: inout Tensor, scale: Float) throws

    /// The gradient of the input of ``Backend/normalised(_:_:)``, plus `more`, which has reached the input on other ways;
    /// that of the weight is added to `weightGradient`. That of the bias is the sum of the rows of `gradient`.
    func normalisedBackward(
        _ gradient: Tensor, x: Tensor, _ norm: Normalisation, saved: Tensor?, more: Tensor?,
        weightGradient: inout Tensor
    ) throws -> Tensor

    /// The gradients of ``Backend/gated(_:gate:up:)``.
    func gatedBackward(
        _ gradient: Tensor, _ activation: Activation, gate: Tensor, up: Tensor
    ) throws -> (gate: Tensor, up: Tensor)

    /// The gradient of ``Backend/activated(_:_:)``.
    func activatedBackward(_ gradient: Tensor, _ activation: Activation, x: Tensor) throws -> Tensor

    /// The gradient of ``Backend/logGate(_:divisor:)``.
    func logGateBackward(_ gradient: Tensor, x: Tensor, divisor: Float) throws -> Tensor

    /// The gradient of ``Backend/routed(_:active:isNormalised:)``, whose result was `weights`.
    func routedBackward(_ gradient: Tensor, logits: Tensor, weights: Tensor, isNormalised: Bool) throws -> Tensor

    /// Row `row` of `products` (E, R), float32, at `ids`: the products of the rows of x and rows `ids` of y (R, D).
    func setRowProducts(
        _ x: Tensor, _ y: Tensor, at ids: Tensor?, in products: inout Tensor, row: Int) throws

    /// The gradients of ``Backend/mix(_:_:logits:)``.
    func mixBackward(
        _ gradient: Tensor, x: Tensor, y: Tensor, logits: Tensor
    ) throws -> (x: Tensor, y: Tensor, logits: Tensor)

    /// The gradient of ``Backend/l2Normed(_:epsilon:)``.
    func l2NormedBackward(_ gradient: Tensor, x: Tensor, epsilon: Float) throws -> Tensor

    /// The gradients of ``Backend/shortConvolution(_:isStateWanted:)`` from that of its result and, unless it is nil,
    /// that of the state after the last token.
    func shortConvolutionBackward(
        _ gradient: Tensor, _ call: ShortConvolution, finalGradient: Tensor?
    ) throws -> ShortConvolutionGradients

    /// The gradient of ``Backend/rope(_:cosines:sines:offset:documents:)``: the rotation by the negative angles.
    func ropeBackward(
        _ gradient: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?
    ) throws -> Tensor

    // MARK: Mixers

    /// Gradients of ``Backend/attention(q:k:v:scale:cap:span:sinkQueries:documents:)`` without queries for the sinks, whose result was
    /// `output`, from the `gradient` of that result, both (B, T, H, V).
    func attentionBackward(
        _ gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, output: Tensor, saved: Tensor?, scale: Float,
        cap: Float?, span: AttentionSpan, documents: Documents?
    ) throws -> (q: Tensor, k: Tensor, v: Tensor)

    /// Gradients of ``Backend/gatedSlotAttention(q:k:v:logGates:scale:state:documents:)``, begun from the state `initial`, from the
    /// `gradient` of its outputs (B, T, H, V) and that of its final state; nil where that is not used.
    func gatedSlotAttentionBackward(
        _ gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, initial: GatedSlotState?,
        finalGradient: GatedSlotState?, documents: Documents?, saved: [Tensor]
    ) throws -> GatedSlotGradients

    /// Gradients of ``Backend/recurrence(_:state:)``, begun from the state `initial`, from the `gradient` of its outputs
    /// (B, T, H, V) and that of its final state; nil where that is not used.
    func recurrenceBackward(
        _ gradient: Tensor, _ inputs: Recurrence, initial: Tensor?, finalGradient: Tensor?, saved: [Tensor]
    ) throws -> RecurrenceGradients

    // MARK: Losses

    /// Cross-entropy of one target per row under softmax(hidden · headᵀ): hidden (R, D), head (O, D). A target of -1
    /// leaves its row out. Gives the weighted loss of each row in nats (0 where left out) and the gradient of
    /// scale · factor · Σ losses with respect to hidden; that with respect to the head (O, D) is added to `headGradient`
    /// unless it is nil. `targets` is int32 (R).
    func crossEntropy(
        _ hidden: Tensor, head: Tensor, cap: Float?, targets: Tensor, weighting: LossWeighting,
        headGradient: inout Tensor?
    ) throws -> (losses: Tensor, hiddenGradient: Tensor)

    /// The divergence KL(teacher ‖ student) of softmax(hidden · headᵀ), the student's, from
    /// softmax(teacherHidden · teacherHeadᵀ): hidden (R, D), head (O, D), and the teacher's with a width of their own.
    /// Results as of ``crossEntropy(_:head:cap:targets:weighting:headGradient:)``; the teacher gets no gradient.
    func klDivergence(
        _ hidden: Tensor, head: Tensor, cap: Float?, teacherHidden: Tensor, teacherHead: Tensor, teacherCap: Float?,
        weighting: LossWeighting, headGradient: inout Tensor?
    ) throws -> (losses: Tensor, hiddenGradient: Tensor)

    /// mean((x - target)²) / mean(target²) and its gradient with respect to x. Not finite for a target of zeros.
    func meanSquaredError(_ x: Tensor, target: Tensor) throws -> (loss: Tensor, gradient: Tensor)

    /// Σ x of a float32 tensor, as a scalar.
    func sum(_ x: Tensor) throws -> Tensor

    // MARK: The optimiser

    /// One step of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2) on all parameters, after clipping the
    /// norm of all gradients together (Pascanu et al. 2013, arXiv 1211.5063), with g = scale · gradient:
    ///
    ///     parameter -= learningRate · weightDecay · parameter
    ///     first      = beta1 · first  + (1 - beta1) · g
    ///     second     = beta2 · second + (1 - beta2) · g²
    ///     parameter -= learningRate · (first / (1 - beta1ˢᵗᵉᵖ)) / (√(second / (1 - beta2ˢᵗᵉᵖ)) + epsilon)
    ///
    /// Nothing changes when a gradient is not finite.
    func adamW(_ parameters: inout [AdamWParameter], _ settings: AdamWSettings) throws -> AdamWOutcome
}
