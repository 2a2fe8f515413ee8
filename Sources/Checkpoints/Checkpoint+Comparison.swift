import Foundation
import Tensors

extension Checkpoint {
    /// Whether two tensors of one shape have other values.
    func differs(_ first: TensorDescription, _ second: TensorDescription) throws -> Bool {
        let type: DType? = first.format == second.format && first.format.dtype != nil ? nil : .float32
        let (first, second) = (try load(first.name, as: type), try load(second.name, as: type))
        return try first.withUnsafeBytes { left in
            try second.withUnsafeBytes { right in
                guard left.count == right.count, let a = left.baseAddress, let b = right.baseAddress else {
                    return left.count != right.count
                }
                return memcmp(a, b, left.count) != 0
            }
        }
    }
}
