import CKernels

/// Tensors of a step are on the processor, but their operations are captured.
extension CapturedStep: DeviceRuntime {
    var place: Device { .cpu }
    var backend: any Backend { self }
    /// What a step computes is never watched.
    var gradientBackend: any GradientBackend { CPUBackend.shared }
    var fusing: (any FusingBackend)? { self }
    var recording: (any RecordingBackend)? { nil }

    func allocate(_ count: Int, in memory: MemoryKind) throws -> Storage { try CPUBackend.shared.allocate(count) }

    func zero(_ storage: Storage, at offset: Int, count: Int) throws { throw Self.refused("clear") }

    func write(_ bytes: UnsafeRawBufferPointer, to storage: Storage, at offset: Int) throws {
        guard let from = bytes.baseAddress, let values = storage.captured?.values else {
            throw Self.refused("overwrite")
        }
        (UnsafeMutableRawPointer(values) + offset).copyMemory(from: from, byteCount: bytes.count)
    }

    func read(_ storage: Storage, at offset: Int, count: Int, to memory: UnsafeMutableRawPointer?) throws {
        throw Self.refused("reading elements")
    }

    /// Of a whole tensor to a state, whose row it becomes.
    func copy(_ storage: Storage, at offset: Int, count: Int, to target: Storage, at place: Int) throws {
        guard let to = target.captured, let from = storage.captured, offset == 0, place == 0, to.width == from.width,
            case .state(let places) = to.form
        else { throw Self.refused("copying") }
        if to !== from { try check(moult_step_scatter(memory.handle, made(from).pointer, places), to.width) }
    }

    func record(_ body: () throws -> Void) throws -> any RecordedWork { throw Self.refused("record") }

    func memoryUse() -> (available: Int, host: Int)? { nil }
    func peakMemory() -> Int? { nil }
    func forgetPeak() {}

    func bandwidth(reading weights: [Tensor], passes: Int) -> Double {
        CPUBackend.shared.bandwidth(reading: weights, passes: passes)
    }

    static func refused(_ operation: String) -> TensorError {
        .device(
            "\(operation) is not for what a step is yet to compute: it may not depend on elements, or on what is trained"
        )
    }
}
