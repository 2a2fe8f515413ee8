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
}
