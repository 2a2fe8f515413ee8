import CCUDA
import Foundation
import Synchronization

/// The GPU as the C layer shows it, with errors that name what failed, and the kernels compiled so far.
final class CUDADevice: @unchecked Sendable {
    // Unchecked: the functions may be called from any thread; work is given from one at a time.
    private let functions: UnsafePointer<moult_cuda>
    private let card: OpaquePointer
    private let kernels = Mutex<[String: Handle]>([:])
    private let expressions = Mutex<[PointwiseText: Handle]>([:])

    /// Whether NVIDIA's compute-sanitizer watches (`MOULT_CUDA_CHECKED=1`): every tensor then has memory of exactly its size,
    /// given back to the driver with it, and what cuBLASLt writes by ways that the tool does not see is written once before.
    let isChecked = ProcessInfo.processInfo.environment["MOULT_CUDA_CHECKED"] == "1"

    /// "NVIDIA H200, sm_90".
    let name: String
    /// Which GPU this is.
    let place: Device

    init(_ functions: UnsafePointer<moult_cuda>, _ card: OpaquePointer, name: String, place: Device) {
        (self.functions, self.card, self.name, self.place) = (functions, card, name, place)
    }

    private func check(_ result: Int32) throws {
        guard result != 0 else { return }
        throw TensorError.ofLibrary(functions.pointee.error())
    }

    // MARK: Memory

    /// Bytes that are free, and in all.
    func memory() throws -> (free: Int, total: Int) {
        var (free, total) = (0, 0)
        try check(functions.pointee.memory(card, &free, &total))
        return (free, total)
    }

    /// nil when there is no such amount left.
    func allocate(_ bytes: Int, _ kind: MemoryKind) throws -> UInt64? {
        var address: UInt64 = 0
        let allocate = kind == .host ? functions.pointee.allocate_host : functions.pointee.allocate
        let result = allocate?(card, bytes, &address) ?? 1
        if result == 2 { return nil }
        try check(result)
        return address
    }

    func release(_ address: UInt64, _ kind: MemoryKind) {
        _ = kind == .host ? functions.pointee.release_host(card, address) : functions.pointee.release(card, address)
    }

    func upload(_ bytes: UnsafeRawBufferPointer, to address: UInt64) throws {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        try check(functions.pointee.upload(card, address, base, bytes.count))
    }

    /// Waits for all work given before.
    func download(_ memory: UnsafeMutableRawPointer?, from address: UInt64, bytes: Int) throws {
        guard let memory, bytes > 0 else { return }
        try check(functions.pointee.download(card, memory, address, bytes))
    }

    /// Memory of the host that the GPU reaches, for the processor, when all work given before is done.
    func hostBytes(at address: UInt64, count: Int) throws -> UnsafeMutableRawBufferPointer {
        try synchronise()
        return UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: UInt(address)), count: count)
    }

    func copy(to: UInt64, from: UInt64, bytes: Int) throws {
        if bytes > 0 { try check(functions.pointee.copy(card, to, from, bytes)) }
    }

    func zero(_ address: UInt64, bytes: Int) throws {
        if bytes > 0 { try check(functions.pointee.zero(card, address, bytes)) }
    }

    func synchronise() throws { try check(functions.pointee.synchronise(card)) }

    // MARK: Work

    /// An argument of a kernel.
    enum Argument {
        case tensor(Tensor?)
        case int(Int)
        case long(Int)
        case float(Float)
        case bool(Bool)
    }

    /// Runs a kernel of `source`, named by an expression such as "cast<float,bf16>", compiled when it is first asked for.
    func launch(
        _ source: String, _ kernel: String, grid: (Int, Int, Int), block: (Int, Int) = (256, 1), shared: Int = 0,
        _ arguments: [Argument]
    ) throws {
        guard grid.0 > 0, grid.1 > 0, grid.2 > 0 else { return }
        try launch(self.kernel(source, kernel), kernel, grid: grid, block: block, shared: shared, arguments)
    }

    /// Runs the kernel of an expression.
    func launch(
        _ expression: PointwiseText, grid: (Int, Int, Int), block: (Int, Int) = (256, 1), _ arguments: [Argument]
    ) throws {
        let name = PointwiseText.kernel
        let handle = try expressions.withLock { known -> Handle in
            if let handle = known[expression] { return handle }
            var pointer: UnsafeMutableRawPointer?
            try check(functions.pointee.text_kernel(card, "expression.cu", expression.text, name, &pointer))
            let made = Handle(pointer: pointer)
            known[expression] = made
            return made
        }
        try launch(handle.pointer, name, grid: grid, block: block, shared: 0, arguments)
    }

    private func launch(
        _ handle: UnsafeMutableRawPointer?, _ kernel: String, grid: (Int, Int, Int), block: (Int, Int), shared: Int,
        _ arguments: [Argument]
    ) throws {
        var words = try arguments.map { argument -> UInt64 in
            switch argument {
            case .tensor(let tensor): try tensor.map { try address(of: $0, in: kernel) } ?? 0
            case .int(let value): UInt64(UInt32(bitPattern: Int32(value)))
            case .long(let value): UInt64(bitPattern: Int64(value))
            case .float(let value): UInt64(value.bitPattern)
            case .bool(let value): value ? 1 : 0
            }
        }
        try withExtendedLifetime(arguments) {
            try words.withUnsafeMutableBufferPointer { words in
                // A kernel reads as many of a word's bytes as its parameter has; the first are the lowest.
                var pointers = words.indices.map { index -> UnsafeMutableRawPointer? in
                    words.baseAddress.map { UnsafeMutableRawPointer($0 + index) }
                }
                try check(
                    functions.pointee.launch(
                        card, handle, [UInt32(grid.0), UInt32(grid.1), UInt32(grid.2)],
                        [UInt32(block.0), UInt32(block.1), 1],
                        shared, &pointers))
            }
        }
    }

    /// Only memory of this GPU is read and written.
    private func address(of tensor: Tensor, in kernel: String) throws -> UInt64 {
        guard tensor.device == place else {
            throw TensorError.devices(operation: kernel, expected: place, found: tensor.device)
        }
        return tensor.deviceAddress
    }

    private func kernel(_ source: String, _ name: String) throws -> UnsafeMutableRawPointer? {
        if let known = kernels.withLock({ $0[name] }) { return known.pointer }
        var handle: UnsafeMutableRawPointer?
        try check(functions.pointee.kernel(card, source, name, &handle))
        let made = Handle(pointer: handle)
        kernels.withLock { $0[name] = made }
        return handle
    }

    /// A compiled kernel, which any thread may launch.
    private struct Handle: @unchecked Sendable {
        let pointer: UnsafeMutableRawPointer?
    }

    /// One matrix product; see `moult_cuda_product`.
    func multiply(_ product: moult_cuda_product) throws {
        guard product.m > 0, product.n > 0, product.k > 0 else { return }
        var product = product
        if isChecked, product.beta == 0 {
            let size = product.d_type == Int32(moult_cuda_float32) ? 4 : 2
            try check(functions.pointee.zero(card, product.d, Int(product.m * product.n) * size))
        }
        try check(functions.pointee.multiply(card, &product))
    }

    // MARK: Groups

    func join(
        _ functions: UnsafePointer<moult_cuda_collectives>, _ identifier: [UInt8], rank: Int, ranks: Int,
        seconds: Double
    ) throws -> OpaquePointer {
        var group: OpaquePointer?
        let bytes = identifier.map { CChar(bitPattern: $0) }
        guard bytes.count == Int(moult_cuda_identifier_bytes),
            functions.pointee.join(card, bytes, Int32(rank), Int32(ranks), seconds, &group) == 0, let group
        else { throw TensorError.ofLibrary(functions.pointee.error()) }
        return group
    }

    // MARK: Graphs

    func beginCapture() throws { try check(functions.pointee.begin_capture(card)) }

    func endCapture() throws -> UnsafeMutableRawPointer? {
        var graph: UnsafeMutableRawPointer?
        try check(functions.pointee.end_capture(card, &graph))
        return graph
    }

    func replay(_ graph: UnsafeMutableRawPointer?) throws { try check(functions.pointee.replay(card, graph)) }

    func forget(_ graph: UnsafeMutableRawPointer?) { functions.pointee.forget(card, graph) }
}

extension Tensor {
    /// The first element on the GPU; 0 on the host.
    var deviceAddress: UInt64 { storage.block.map { $0.address + UInt64(byteOffset) } ?? 0 }
    /// Whether it begins where 16 bytes may be read at once.
    var isVectorAligned: Bool { deviceAddress % 16 == 0 }
}
