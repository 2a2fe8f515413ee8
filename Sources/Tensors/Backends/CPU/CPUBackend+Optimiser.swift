import CKernels
import Foundation

extension CPUBackend {
    public func adamW(
        parameter: inout Tensor, gradient: Tensor, first: inout Tensor, second: inout Tensor, copy: inout Tensor?,
        learningRate: Float, beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float, step: Int,
        gradientScale: Float
    ) throws {
        func correction(_ beta: Float) -> Float { Float(1 - pow(Double(beta), Double(step))) }
        var job = moult_adam_w(
            count: Int64(parameter.count), parameter: nil, first: nil, second: nil, gradient: gradient.floats,
            copy: nil, learning_rate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
            weight_decay: weightDecay, gradient_scale: gradientScale, first_correction: correction(beta1),
            second_correction: correction(beta2))
        try withExtendedLifetime(gradient) {
            try parameter.withMutable(Float.self) { parameter in
                try first.withMutable(Float.self) { first in
                    try second.withMutable(Float.self) { second in
                        job.parameter = parameter.baseAddress
                        job.first = first.baseAddress
                        job.second = second.baseAddress
                        let done: Void? = try copy?.withMutable(BFloat16.self) {
                            job.copy = $0.baseAddress.map { UnsafeMutablePointer(OpaquePointer($0)) }
                            moult_adam_w(&job)
                        }
                        if done == nil { moult_adam_w(&job) }
                    }
                }
            }
        }
    }

    public func sumOfSquares(_ x: Tensor) throws -> Double {
        var sum = 0.0
        try withExtendedLifetime(x) {
            try moult_sum_of_squares(x.floats, Int64(x.count), &sum).check(bytes: 0)
        }
        return sum
    }
}
