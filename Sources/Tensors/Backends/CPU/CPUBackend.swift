import CKernels

/// The operations on the processor: vector kernels for the instruction set found at run time, over a thread pool, and
/// oneDNN for products of many rows where it is installed.
///
/// Environment: `MOULT_CPU` forces an instruction set (baseline, avx2, avx512, avx512vnni), `MOULT_THREADS` bounds the threads,
/// `MOULT_ONEDNN=0` leaves oneDNN out.
public struct CPUBackend: Backend, GradientBackend {
    /// The processor, of which there is one.
    public static let shared = CPUBackend()

    public var name: String {
        var parts = [String(cString: moult_kernels_name())]
        if let version = moult_onednn_version() { parts.append("oneDNN \(String(cString: version))") }
        parts.append("\(moult_thread_count()) threads")
        return "cpu (\(parts.joined(separator: ", ")))"
    }
}

extension DType {
    /// The kernels' name of this type; nil where they have none.
    var kernelType: moult_type? {
        switch self {
        case .float32: moult_float32
        case .bfloat16: moult_bfloat16
        case .float16: moult_float16
        case .q8: moult_q8
        case .q4: moult_q4
        case .float64, .int64, .int32, .uint8, .bool: nil
        }
    }

    /// The kernels' name of a weight's type.
    func requiredKernelType(operation: String, argument: String) throws -> moult_type {
        guard let type = kernelType else {
            throw TensorError.dtype(
                operation: operation, argument: argument, expected: "float32, bfloat16, float16, q8 or q4", found: self)
        }
        return type
    }
}

extension Tensor {
    /// The first element, for kernels; valid while the tensor lives.
    var address: UnsafeRawPointer? {
        storage.bytes.baseAddress.map { UnsafeRawPointer($0 + byteOffset) }
    }

    /// The same of a float32 tensor.
    var floats: UnsafePointer<Float>? { address.map { UnsafePointer(OpaquePointer($0)) } }

    /// A float32 tensor that `body` fills.
    static func filled(_ shape: [Int], _ body: (UnsafeMutablePointer<Float>?) throws -> Void) throws -> Tensor {
        var result = try Tensor.empty(shape)
        try result.withMutable(Float.self) { try body($0.baseAddress) }
        return result
    }
}
