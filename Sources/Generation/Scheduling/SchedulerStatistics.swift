/// What a ``Scheduler`` has done and is doing.
public struct SchedulerStatistics: Sendable, Equatable {
    /// Requests that wait.
    public var waiting = 0
    /// Prompts that are being read, and continuations that go on.
    public var running = 0
    /// Tokens of prompts that were read.
    public var promptTokens = 0
    /// Tokens of prompts that stored states had read.
    public var cachedTokens = 0
    /// Prompts that could have gone on from a stored state, and those that did.
    public var lookups = 0, hits = 0
    /// Prompts that went on from a state on the disk.
    public var diskHits = 0
    /// Tokens that were generated.
    public var generatedTokens = 0
    /// Steps of the batch, and the tokens of all of them.
    public var steps = 0, stepTokens = 0
    /// Stored states, and their bytes.
    public var states = 0, stateBytes = 0
    /// States on the disk, and their bytes.
    public var diskStates = 0, diskStateBytes = 0
    /// Bytes of the largest state of a running sequence, at its last token.
    public var sequenceBytes = 0

    /// Of a scheduler that has done nothing.
    public init() {}

    /// What has been done since the beginning, where another scheduler of the same model had done `earlier`.
    public func after(_ earlier: SchedulerStatistics) -> SchedulerStatistics {
        var sum = self
        for count in Self.counts { sum[keyPath: count] += earlier[keyPath: count] }
        return sum
    }

    /// Those that only grow.
    private static var counts: [WritableKeyPath<SchedulerStatistics, Int>] {
        [
            \.promptTokens, \.cachedTokens, \.lookups, \.hits, \.diskHits, \.generatedTokens, \.steps, \.stepTokens,
        ]
    }
}
