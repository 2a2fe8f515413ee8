import CKernels
import Foundation

extension CPUBackend {
    public func adamW(_ parameters: inout [AdamWParameter], _ settings: AdamWSettings) throws -> AdamWOutcome {
        let parts = try parameters.map { try sumOfSquares($0.gradient) }
        let unfinite = parts.firstIndex { !$0.isFinite }
        var squares = zip(parameters, parts).reduce(0) { $0 + ($1.0.counts ? $1.1 : 0) }
        if let uniting = settings.uniting { squares = try uniting(Tensor([Float(squares)], shape: [])).scalar() }
        guard squares.isFinite else { return AdamWOutcome { [squares] in (squares, unfinite) } }
        let rates = settings.rates
        if let loss = settings.loss, try !loss.scalar().isFinite { return AdamWOutcome { (.nan, nil) } }
        let norm = squares.squareRoot() * rates.gradientScale
        let clipping = rates.clip.map { norm > $0 ? $0 / norm : 1 } ?? 1
        for index in parameters.indices {
            try adamW(
                &parameters[index], settings,
                learningRate: Float(rates.learningRate * Double(parameters[index].rateScale)),
                gradientScale: Float(rates.gradientScale * clipping))
        }
        return AdamWOutcome { (norm, nil) }
    }

    private func adamW(
        _ job: inout AdamWParameter, _ settings: AdamWSettings, learningRate: Float, gradientScale: Float
    ) throws {
        func correction(_ beta: Float) -> Float { Float(1 - pow(Double(beta), Double(settings.rates.step))) }
        let gradient = job.gradient
        var step = moult_adam_w(
            count: Int64(job.value.count), parameter: nil, first: nil, second: nil, gradient: gradient.floats,
            copy: nil, learning_rate: learningRate, beta1: settings.beta1, beta2: settings.beta2,
            epsilon: settings.epsilon, weight_decay: job.weightDecay, gradient_scale: gradientScale,
            first_correction: correction(settings.beta1), second_correction: correction(settings.beta2))
        try withExtendedLifetime(gradient) {
            try job.value.withMutable(Float.self) { parameter in
                try job.first.withMutable(Float.self) { first in
                    try job.second.withMutable(Float.self) { second in
                        step.parameter = parameter.baseAddress
                        step.first = first.baseAddress
                        step.second = second.baseAddress
                        let done: Void? = try job.copy?.withMutable(BFloat16.self) {
                            step.copy = $0.baseAddress.map { UnsafeMutablePointer(OpaquePointer($0)) }
                            moult_adam_w(&step)
                        }
                        if done == nil { moult_adam_w(&step) }
                    }
                }
            }
        }
    }

    package func sumOfSquares(_ x: Tensor) throws -> Double {
        var sum = 0.0
        try withExtendedLifetime(x) {
            try moult_sum_of_squares(x.floats, Int64(x.count), &sum).check(bytes: 0)
        }
        return sum
    }
}
