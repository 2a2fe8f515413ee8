/// A constraint of a sequence: from its first token on, or each time that it has written some text.
public struct SequenceConstraint: Sendable {
    private let constraint: TokenConstraint
    /// What must be written for the constraint to begin; empty where it holds from the first token on.
    private let trigger: [UInt8]
    /// Where the constrained text stands; nil outside of it.
    private var state: ConstraintState?
    /// The last bytes that were written outside of it.
    private var tail: [UInt8] = []

    /// - Parameter trigger: text after which `constraint` holds, until it is complete; without it, it is all of the text.
    /// - Throws: ``ConstraintError/tooLarge(what:limit:)``.
    public init(_ constraint: TokenConstraint, after trigger: String = "") throws {
        (self.constraint, self.trigger) = (constraint, Array(trigger.utf8))
        if trigger.isEmpty { state = try constraint.start() }
    }

    /// Whether tokens are now picked among some alone.
    public var isActive: Bool { state != nil }

    /// Whether nothing may follow.
    public var isFinished: Bool { trigger.isEmpty && state?.isFinished == true }

    /// The tokens that may be picked; nil for all.
    /// - Throws: ``ConstraintError``.
    public func mask(stops: Set<Int32>) throws -> TokenMask? { try state?.mask(stops: stops) }

    /// Goes on by a token.
    /// - Throws: ``ConstraintError/tooLarge(what:limit:)``.
    public mutating func advance(_ token: Int32) throws {
        guard state == nil else {
            try state?.advance(token)
            if !trigger.isEmpty, state?.isFinished == true { state = nil }
            return
        }
        let bytes = constraint.vocabulary.bytes(of: token)
        // Where the trigger ends within the token, what comes behind it counts already.
        let text = tail + bytes
        let first = max(0, text.count - bytes.count - trigger.count + 1)
        let starts = text.indices.dropFirst(first).filter { text[$0...].starts(with: trigger) }
        tail = Array(text.suffix(trigger.count - 1))
        guard let start = starts.last else { return }
        var begun = try constraint.start()
        guard try begun.advance(Array(text[(start + trigger.count)...])) else { return }
        (state, tail) = (begun, [])
    }
}
