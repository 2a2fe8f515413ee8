import Tensors

/// Where a run keeps what need not be in its device's own memory: a choice of the machine on which it runs, not of the recipe. Results
/// are the same to the bit, and a run that is resumed may choose otherwise.
public struct MemoryPlacement: Sendable, Equatable {
    /// Float32 masters and AdamW's two means of the matrices whose products read them rounded, 12 bytes a parameter, of which each
    /// update reads and writes all.
    public var optimiser: MemoryKind
    /// The teacher's layers, 2 bytes a parameter, of which each batch reads all.
    public var teacher: MemoryKind

    /// Everything on the device, unless asked otherwise.
    public init(optimiser: MemoryKind = .device, teacher: MemoryKind = .device) {
        (self.optimiser, self.teacher) = (optimiser, teacher)
    }
}
