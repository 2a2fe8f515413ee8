/// What can go wrong with a tensor operation. Each case says what was expected and what was found.
public enum TensorError: Error, Equatable, CustomStringConvertible {
    /// `argument` of `operation` has the wrong shape.
    case shape(operation: String, argument: String, expected: String, found: [Int])
    /// `argument` of `operation` has the wrong element type.
    case dtype(operation: String, argument: String, expected: String, found: DType)
    /// A value is out of the range that `operation` allows, such as a token id outside the vocabulary.
    case range(operation: String, argument: String, expected: String, found: String)
    /// A tensor of `bytes` bytes could not be allocated.
    case outOfMemory(bytes: Int)
    /// A tensor of `bytes` bytes could not be allocated on the GPU, of whose `total` bytes tensors hold `used`.
    case outOfDeviceMemory(bytes: Int, free: Int, used: Int, total: Int)
    /// A tensor of `bytes` bytes could not be allocated in the host's memory, page-locked, of which those of the GPU hold `used`.
    case outOfHostMemory(bytes: Int, used: Int)
    /// A GPU is missing, or one of its calls failed.
    case device(String)
    /// Arguments of `operation` are on different devices.
    case devices(operation: String, expected: Device, found: Device)
    /// The device does not compute in such numbers.
    case precision(Precision, device: Device)

    public var description: String {
        switch self {
        case .shape(let operation, let argument, let expected, let found):
            "\(operation): \(argument) has shape \(found), expected \(expected)"
        case .dtype(let operation, let argument, let expected, let found):
            "\(operation): \(argument) has type \(found.rawValue), expected \(expected)"
        case .range(let operation, let argument, let expected, let found):
            "\(operation): \(argument) is \(found), expected \(expected)"
        case .outOfMemory(let bytes):
            "out of memory: \(bytes) bytes could not be allocated"
        case .outOfDeviceMemory(let bytes, let free, let used, let total):
            "out of GPU memory: \(bytes >> 20) MiB asked for, \(free >> 20) of \(total >> 20) MiB free, "
                + "\(used >> 20) MiB in use; use fewer sequences or shorter rows"
        case .outOfHostMemory(let bytes, let used):
            "out of the host's memory: \(bytes >> 20) MiB asked for that the GPU reaches (page-locked), "
                + "\(used >> 20) MiB in use; keep less of the run there"
        case .device(let reason):
            "GPU: \(reason)"
        case .devices(let operation, let expected, let found):
            "\(operation): an argument is on \(found), expected all on \(expected); move it there first"
        case .precision(let precision, let device):
            "\(device) does not compute in \(precision.rawValue); expected "
                + device.traits.precisions.map(\.rawValue).joined(separator: " or ")
        }
    }
}
