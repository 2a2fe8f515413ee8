import CCUDA
import Synchronization

/// The operations on an NVIDIA GPU: cuBLASLt for products, our kernels for everything else, compiled for the card when they
/// are first used. Activations and their gradients are bfloat16; sums, statistics, log gates, states, the parameters of norms
/// and biases, and gradients of parameters are float32.
///
/// Work runs in the order in which it is given, while the host goes on; reading a tensor waits. No operation uses atomics:
/// results are the same to the bit from run to run on one kind of card.
public final class CUDABackend: Backend {
    let device: CUDADevice
    let memory: CUDAMemory
    let optimiserTables = Mutex<OptimiserTables?>(nil)

    private init(_ functions: UnsafePointer<moult_cuda>) {
        device = CUDADevice(functions)
        memory = CUDAMemory(device)
    }

    /// What stands in for the driver in tests; set before the device is first used.
    package static let substitute = Mutex<Substitute?>(nil)
    package struct Substitute: @unchecked Sendable {
        let functions: UnsafePointer<moult_cuda>
        package init(_ functions: UnsafePointer<moult_cuda>) { self.functions = functions }
    }

    /// The backend, once the GPU has been opened.
    static let opened: Result<CUDABackend, TensorError> = {
        if let substitute = substitute.withLock({ $0 }) { return .success(CUDABackend(substitute.functions)) }
        var reason: UnsafePointer<CChar>?
        if let functions = moult_cuda_open(&reason) { return .success(CUDABackend(functions)) }
        return .failure(.device(reason.map { String(cString: $0) } ?? "no NVIDIA GPU"))
    }()

    public var name: String { "cuda (\(device.name))" }

    /// Bytes of GPU memory that tensors can still take, and the most that they have taken at once.
    public static func memoryUse() throws -> (available: Int, peak: Int) {
        let backend = try opened.get()
        return (try backend.memory.available(), backend.memory.peak)
    }

    /// Bytes read and written a second while memory is copied, the best of several gigabyte-sized passes.
    func bandwidth() throws -> Double {
        let bytes = 512 << 20
        let (from, to) = (try Tensor.zeros([bytes], .uint8, on: .cuda), try empty([bytes], .uint8))
        let seconds = try (0..<9).map { _ in
            let start = ContinuousClock.now
            try device.copy(to: to.deviceAddress, from: from.deviceAddress, bytes: bytes)
            try device.synchronise()
            return start.duration(to: .now) / .seconds(1)
        }
        return 2 * Double(bytes) / (seconds.min() ?? 1)
    }

    // MARK: Shared by the operations

    typealias Argument = CUDADevice.Argument

    func empty(_ shape: [Int], _ type: DType = .bfloat16) throws -> Tensor { try .empty(shape, type, on: .cuda) }

    /// Launches a kernel whose threads take eight elements each; its last parameter is the count.
    func overElements(_ source: String, _ kernel: String, count: Int, _ arguments: Argument...) throws {
        try device.launch(source, kernel, grid: ((count + 2047) / 2048, 1, 1), arguments + [.long(count)])
    }
}

extension CUDABackend {
    /// Runs `body` without doing its work, which the result then does as often as asked, always on the same tensors: what it
    /// reads must stay alive, and what it makes must be kept as long as it is read.
    public static func record(_ body: () throws -> Void) throws -> CUDAGraph {
        let backend = try opened.get()
        let recording = backend.memory.beginRecording()
        do {
            try backend.device.beginCapture()
            do { try body() } catch {
                // Ends the capture, whose result is of no use.
                if let graph = try? backend.device.endCapture() { backend.device.forget(graph) }
                throw error
            }
            let graph = try backend.device.endCapture()
            backend.memory.endRecording()
            return CUDAGraph(backend, graph, recording)
        } catch {
            backend.memory.endRecording()
            backend.memory.forget(recording)
            throw error
        }
    }
}

/// Recorded work on a GPU (a CUDA graph): one call of the driver runs all of its kernels.
public final class CUDAGraph {
    private let backend: CUDABackend
    private let graph: UnsafeMutableRawPointer?
    private let recording: Int

    init(_ backend: CUDABackend, _ graph: UnsafeMutableRawPointer?, _ recording: Int) {
        (self.backend, self.graph, self.recording) = (backend, graph, recording)
    }

    /// Does the work once more.
    public func run() throws { try backend.device.replay(graph) }

    deinit {
        try? backend.device.synchronise()
        backend.device.forget(graph)
        backend.memory.forget(recording)
    }
}

extension Tensor {
    /// Overwrites the elements in place, wherever they are: for the inputs of recorded work, which reads this memory.
    public func overwrite<Element: TensorElement>(_ values: [Element]) throws {
        guard dtype == Element.dtype, count == values.count else {
            throw TensorError.shape(
                operation: "overwrite", argument: "values", expected: "\(count) of \(dtype.rawValue)",
                found: [values.count])
        }
        if device == .cuda {
            try values.withUnsafeBytes { try CUDABackend.opened.get().device.upload($0, to: deviceAddress) }
        } else {
            values.withUnsafeBytes { values in
                guard let base = values.baseAddress else { return }
                UnsafeMutableRawPointer(mutating: address)?.copyMemory(from: base, byteCount: values.count)
            }
        }
    }
}
