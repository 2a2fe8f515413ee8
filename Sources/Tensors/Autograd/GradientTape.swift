/// Reverse-mode differentiation: remembers the operations that were applied to watched tensors and, played back, brings
/// the gradient of a loss to each of them.
///
/// A tensor that takes part carries a ``Variable``. The operations of ``Tensor`` check, compute, and then record how
/// to turn the gradient of their result into those of their arguments. Losses (Tensor+Losses.swift) put the first
/// gradients in place; ``playBack()`` does the rest and forgets everything as it goes, so that activations are freed
/// in the order in which they are no longer needed. A tape is used by one thread at a time.
public final class GradientTape {
    /// One operation: where its results' gradients will lie, and what to do with them.
    private struct Entry {
        let outputs: [Variable]
        let backward: ([Tensor?]) throws -> Void
    }

    private var entries: [Entry] = []
    /// Watched tensors, in the order in which they were first used, with the place of the entry that did.
    private var firstUses: [(entry: Int, variable: Variable)] = []
    /// Told of a watched tensor, while the tape is played back, as soon as nothing that is left adds to its gradient. With
    /// checkpointed parts a tensor may be used by one of them alone.
    package var whenComplete: ((Variable) throws -> Void)?
    /// Whether operations are recorded now; false inside the forward pass of a checkpointed part.
    private(set) var isRecording = true

    /// An empty tape, which watches nothing.
    public init() {}

    /// Operations recorded and not yet played back.
    public var count: Int { entries.count }

    /// `tensor` as an argument whose gradient is wanted: after ``playBack()`` it is in the result's ``Tensor/gradient``.
    /// - Parameter variable: one that this tape gave the tensor before, to go on adding to its gradient.
    public func watch(_ tensor: Tensor, as variable: Variable? = nil) -> Tensor {
        let variable = variable ?? Variable(on: self)
        variable.watch()
        return tensor.carrying(variable)
    }

    /// Records an operation with `results`.
    /// - Parameter backward: gets the gradient of each result, nil where none arrived (but at least one did), and adds
    ///   to the arguments' variables.
    func record(_ results: [Tensor], backward: @escaping ([Tensor?]) throws -> Void) -> [Tensor] {
        let watched = results.map { $0.carrying(Variable(on: self)) }
        entries.append(Entry(outputs: watched.compactMap(\.variable), backward: backward))
        return watched
    }

    /// Notes what the operation that is recorded next is applied to.
    func use(_ variables: some Sequence<Variable>) {
        guard whenComplete != nil else { return }
        for variable in variables where variable.isUsedFirst() { firstUses.append((entries.count, variable)) }
    }

    /// Carries the gradients that losses have put in place back to the watched tensors, last operation first.
    public func playBack() throws { try playBack(to: 0) }

    private func playBack(to start: Int) throws {
        while entries.count > start {
            let entry = entries.removeLast()
            let gradients = entry.outputs.map { $0.takeGradient() }
            if gradients.contains(where: { $0 != nil }) { try entry.backward(gradients) }
            while let last = firstUses.last, last.entry >= entries.count {
                firstUses.removeLast()
                last.variable.complete()
                try whenComplete?(last.variable)
            }
        }
    }

    /// Forgets what was recorded, such as after an error.
    public func clear() {
        entries.removeAll()
        firstUses.removeAll()
    }

    /// body(x), keeping nothing of the inside: when the gradient of the result is known, `body` runs once more, recorded
    /// (Chen et al. 2016, arXiv 1604.06174). Everything but x that needs a gradient must be watched already.
    public func checkpoint(_ x: Tensor, _ body: @escaping (Tensor) throws -> Tensor) throws -> Tensor {
        guard isRecording else { return try body(x) }
        isRecording = false
        defer { isRecording = true }
        let result = try body(x)
        return record([result]) { [unowned self] gradients in
            guard let gradient = gradients[0] else { return }
            let start = entries.count
            let input = watch(x)
            let again = try body(input)
            try again.variable?.add(gradient)
            try playBack(to: start)
            if let found = input.gradient { try x.variable?.add(found) }
        }[0]
    }
}

/// What a tensor needs to take part in differentiation: the tape, and the gradient that has arrived so far.
public final class Variable: @unchecked Sendable {
    // Unchecked: tensors may cross threads, but only the thread that runs a training step touches their variables.
    private weak var tape: GradientTape?
    /// The sum of the gradients that have arrived: float32, of the tensor's shape.
    public private(set) var gradient: Tensor?

    /// Whether ``gradient`` stays where it is, and is added to in place.
    package private(set) var staysInPlace = false
    /// Of a tensor that is watched: whether an operation was applied to it, and all that add to its gradient have.
    private enum Use { case none, watched, used, complete }
    private var use = Use.none

    init(on tape: GradientTape) { self.tape = tape }

    /// The tape, if it is recording.
    var recording: GradientTape? { tape?.isRecording == true ? tape : nil }

    /// Waits for the first operation that is applied to it.
    fileprivate func watch() { use = .watched }

    /// Whether this is the first.
    fileprivate func isUsedFirst() -> Bool {
        defer { if use == .watched { use = .used } }
        return use == .watched
    }

    /// Nothing more may come.
    fileprivate func complete() { use = .complete }

    private func requireIncomplete() throws {
        guard use == .complete else { return }
        throw TensorError.range(
            operation: "gradient", argument: "tensor", expected: "one use within checkpointed parts", found: "several")
    }

    /// Adds `more` to the gradient.
    func add(_ more: Tensor) throws {
        try requireIncomplete()
        if staysInPlace, let sum = gradient {
            return try accumulate(like: sum) {
                try more.gradientBackend("gradient", with: $0).accumulate(more, into: &$0, scale: 1)
            }
        }
        // Into a fresh tensor: the two terms are often shared with other variables, and would be copied to be written.
        gradient = try takeGradient().map { try more.backend("gradient", with: $0).add($0, more) } ?? more
    }

    /// Calls `body` with the gradient, nil at first, to add to it in place.
    func accumulate(_ body: (inout Tensor?) throws -> Void) throws {
        try requireIncomplete()
        var sum = lift()
        defer { gradient = sum }
        try body(&sum)
    }

    /// Calls `body` with the gradient, zeros of the shape of `tensor` at first, to add to it in place.
    func accumulate<Result>(like tensor: Tensor, _ body: (inout Tensor) throws -> Result) throws -> Result {
        try requireIncomplete()
        var sum = try lift() ?? .zeros(tensor.shape, on: tensor.device)
        defer { gradient = sum }
        return try body(&sum)
    }

    /// The gradient, of which there is no other owner then, until it is put back.
    private func lift() -> Tensor? {
        defer { gradient = nil }
        return gradient
    }

    /// Begins the sum of gradients with `first`.
    /// - Parameter staysInPlace: whether all that arrive are added where it is, for recorded work to find them there.
    public func begin(with first: Tensor, staysInPlace: Bool = false) {
        (gradient, self.staysInPlace) = (first, staysInPlace)
    }

    /// Removes the gradient and returns it, so that what happens to it next happens in place.
    @discardableResult
    public func takeGradient() -> Tensor? {
        staysInPlace = false
        return lift()
    }
}
