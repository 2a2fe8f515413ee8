extension Tensor {
    /// The gradient that has reached this watched tensor; nil when none did, or nobody watches.
    public var gradient: Tensor? { variable?.gradient }

    /// The same elements, outside of any tape.
    public var detached: Tensor { carrying(nil) }

    /// Whether what is done with this tensor now is recorded.
    package var isRecorded: Bool { variable?.recording != nil }

    /// Ties `results` to the tape of whichever of `arguments` is watched; without one they stay as they are.
    static func record(
        _ results: [Tensor], of arguments: [Tensor?], backward: @escaping ([Tensor?]) throws -> Void
    ) -> [Tensor] {
        guard let tape = arguments.lazy.compactMap({ $0?.variable?.recording }).first else { return results }
        tape.use(arguments.lazy.compactMap { $0?.variable })
        return tape.record(results, backward: backward)
    }

    /// The same for one result, whose gradient `backward` gets.
    func recorded(of arguments: Tensor?..., backward: @escaping (Tensor) throws -> Void) -> Tensor {
        Tensor.record([self], of: arguments) { if let gradient = $0[0] { try backward(gradient) } }[0]
    }

    /// Calls `body` with the place where this tensor's gradient is summed, or, when nobody asks for it, with zeros that
    /// are then dropped.
    func withGradient<Result>(_ body: (inout Tensor) throws -> Result) throws -> Result {
        guard let variable else {
            var dropped = try Tensor.zeros(shape, on: device)
            return try body(&dropped)
        }
        return try variable.accumulate(like: self, body)
    }
}
