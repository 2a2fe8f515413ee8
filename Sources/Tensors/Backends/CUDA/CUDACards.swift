import CCUDA
import Synchronization

/// The GPUs that are open, by their numbers. Each is opened when it is first used and stays open.
package enum CUDACards {
    private struct Cards: @unchecked Sendable {
        // Unchecked: the driver's functions may be called from any thread.
        var driver: UnsafePointer<moult_cuda> = moult_cuda_driver()
        var collectives: UnsafePointer<moult_cuda_collectives> = moult_cuda_nccl()
        var open: [Int: Result<CUDABackend, TensorError>] = [:]
    }

    private static let cards = Mutex(Cards())

    /// Puts something in the places of the driver and of NCCL, before a GPU is used: for tests.
    package static func substitute(
        _ driver: UnsafePointer<moult_cuda>, _ collectives: UnsafePointer<moult_cuda_collectives>
    ) {
        nonisolated(unsafe) let (driver, collectives) = (driver, collectives)
        cards.withLock { ($0.driver, $0.collectives) = (driver, collectives) }
    }

    /// What GPUs of several processes do together.
    static var collectives: UnsafePointer<moult_cuda_collectives> { cards.withLock { Held($0.collectives) }.pointer }

    /// What rank 0 of a group hands to the others.
    static func groupIdentifier() throws -> [UInt8] {
        let functions = collectives
        var identifier = [CChar](repeating: 0, count: Int(moult_cuda_identifier_bytes))
        guard functions.pointee.identify(&identifier) == 0 else {
            throw TensorError.ofLibrary(functions.pointee.error())
        }
        return identifier.map { UInt8(bitPattern: $0) }
    }

    private struct Held: @unchecked Sendable {
        // Unchecked: the functions may be called from any thread.
        let pointer: UnsafePointer<moult_cuda_collectives>
        init(_ pointer: UnsafePointer<moult_cuda_collectives>) { self.pointer = pointer }
    }

    /// The GPU `index`.
    /// - Throws: ``TensorError/device(_:)`` when there is none, or a library is missing.
    static func card(_ index: Int) throws -> CUDABackend {
        try cards.withLock { cards in
            if let known = cards.open[index] { return known }
            let result = open(index, cards.driver)
            cards.open[index] = result
            return result
        }.get()
    }

    private static func open(
        _ index: Int, _ driver: UnsafePointer<moult_cuda>
    ) -> Result<CUDABackend, TensorError> {
        func failure() -> Result<CUDABackend, TensorError> {
            .failure(.ofLibrary(driver.pointee.error()))
        }
        var count: Int32 = 0
        guard driver.pointee.count(&count) == 0 else { return failure() }
        guard (0..<Int(count)).contains(index) else {
            let names = (0..<count).compactMap { card in
                name(card, driver).map { "\(Device.cuda(Int(card))) (\($0))" }
            }
            let found = names.isEmpty ? "no GPU" : names.joined(separator: ", ")
            return .failure(.device("there is no \(Device.cuda(index)); found \(found)"))
        }
        var card: OpaquePointer?
        guard driver.pointee.open(Int32(index), &card) == 0, let card else { return failure() }
        let device = CUDADevice(driver, card, name: name(Int32(index), driver) ?? "GPU", place: .cuda(index))
        return .success(CUDABackend(device))
    }

    /// "NVIDIA H200, sm_90".
    private static func name(_ card: Int32, _ driver: UnsafePointer<moult_cuda>) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
            guard let base = text.baseAddress, driver.pointee.describe(card, base) == 0 else { return nil }
            return String(cString: base)
        }
    }
}

extension TensorError {
    /// What a library of the card's says of its last failure.
    static func ofLibrary(_ reason: UnsafePointer<CChar>?) -> TensorError {
        .device(reason.map { String(cString: $0) } ?? "unknown error")
    }
}
