import ArgumentParser
import Tensors
import Training

/// Where what a GPU's own memory has no room for lies.
struct MemoryOptions: ParsableArguments {
    @Option(
        help: """
            Where the teacher's layers lie: device, or host, from which each is copied to the GPU as it is reached. \
            (default: device; on cpu both are the same)
            """)
    var teacherMemory: MemoryKind?
    @Option(
        help: """
            Where float32 masters and AdamW's means lie: device, or host, where the GPU reads and writes them. \
            (default: device; on cpu both are the same)
            """)
    var optimizerMemory: MemoryKind?

    var placement: MemoryPlacement {
        MemoryPlacement(optimiser: optimizerMemory ?? .device, teacher: teacherMemory ?? .device)
    }

    /// What starts the run again with the same.
    var words: String {
        (teacherMemory.map { " --teacher-memory \($0.rawValue)" } ?? "")
            + (optimizerMemory.map { " --optimizer-memory \($0.rawValue)" } ?? "")
    }
}

extension MemoryKind: ExpressibleByArgument {}
