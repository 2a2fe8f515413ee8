/// How a ``Scheduler`` shares a model.
public struct SchedulerOptions: Sendable {
    /// Which stored states a prompt may go on from.
    public enum StateReuse: String, Sendable, CaseIterable {
        /// The longest one. What follows is that of reading the whole prompt up to rounding.
        case longest
        /// Only those after which everything is bit for bit as if the whole prompt were read.
        case exact
        /// None: no states are kept.
        case none
    }

    /// The most sequences of one step, and that hold a state at a time but for paused ones.
    public var batch = 8
    /// The most requests that wait.
    public var queue = 256
    /// Bytes that stored states may take.
    public var stateBytes = 512 << 20
    /// Where states outlive the scheduler; nil for nowhere.
    public var folder: StateFolder?
    /// Which stored states may be used.
    public var reuse = StateReuse.longest
    /// Whether what a device compiles and records the first time is done before the first request.
    public var warmsUp = false

    /// Eight sequences, 256 requests that wait, 512 MiB of states.
    public init() {}
}
