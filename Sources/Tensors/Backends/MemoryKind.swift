/// Whose memory the elements of a device's tensor lie in. Operations take tensors of both kinds; only their speed differs.
public enum MemoryKind: String, Sendable, CaseIterable {
    /// The device's own.
    case device
    /// The host's, page-locked, where a GPU reads and writes it over its bus (CUDA Driver API, cuMemHostAlloc): for what is large
    /// and seldom touched. Of a device whose memory is the host's, such as the processor, the same as its own.
    case host
}

extension Tensor {
    /// Whose memory the elements lie in; of the processor its own.
    public var memory: MemoryKind { storage.block?.kind ?? .device }
}
