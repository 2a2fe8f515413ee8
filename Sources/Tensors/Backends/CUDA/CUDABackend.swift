import CCUDA
import Synchronization

/// The operations on an NVIDIA GPU: cuBLASLt for products, our kernels for everything else, compiled for the card when they
/// are first used. Activations and their gradients are bfloat16; sums, statistics, log gates, states, the parameters of norms
/// and biases, and gradients of parameters are float32.
///
/// Work runs in the order in which it is given, while the host goes on; reading a tensor waits. No operation uses atomics:
/// results are the same to the bit from run to run on one kind of card.
public final class CUDABackend: Backend, GradientBackend {
    let device: CUDADevice
    let memory: CUDAMemory
    let optimiserTables = Mutex<OptimiserTables?>(nil)

    /// - Parameter device: open, and used by nobody else.
    init(_ device: CUDADevice) {
        self.device = device
        memory = CUDAMemory(device)
    }

    public var name: String { "\(place) (\(device.name))" }

    // MARK: Shared by the operations

    typealias Argument = CUDADevice.Argument

    func empty(_ shape: [Int], _ type: DType = .bfloat16) throws -> Tensor { try .empty(shape, type, in: self) }

    func zeros(_ shape: [Int], _ type: DType = .float32) throws -> Tensor { try .zeros(shape, type, in: self) }

    /// Launches a kernel whose threads take eight elements each; its last parameter is the count.
    func overElements(_ source: String, _ kernel: String, count: Int, _ arguments: Argument...) throws {
        try device.launch(source, kernel, grid: ((count + 2047) / 2048, 1, 1), arguments + [.long(count)])
    }
}
