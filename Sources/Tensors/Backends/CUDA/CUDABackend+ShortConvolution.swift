extension CUDABackend {
    public func shortConvolution(
        _ call: ShortConvolution, isStateWanted: Bool
    ) throws -> (result: Tensor, state: Tensor?) {
        let (result, state) = (try empty(call.x.shape), isStateWanted ? try empty(call.stateShape) : nil)
        try launch(
            "short_convolution", call, strip: 16, [], [.tensor(result), .tensor(state)])
        return (result, state)
    }

    public func shortConvolutionBackward(
        _ gradient: Tensor, _ call: ShortConvolution, finalGradient: Tensor?
    ) throws -> ShortConvolutionGradients {
        let (batch, tokens, dim) = (call.x.shape[0], call.x.shape[1], call.x.shape[2])
        // Long strips leave fewer parts of the weight's gradient, short ones give more threads: the shape decides.
        let strip = batch * tokens * ((dim + 7) / 8) >= 1 << 23 ? 64 : 16
        let strips = batch * ((tokens + strip - 1) / strip)
        let weightParts = try empty([strips, dim * call.width], .float32)
        let biasParts = try call.bias.map { _ in try empty([strips, dim], .float32) }
        let x = try empty(call.x.shape)
        let state = try call.state.map { try empty($0.shape) }
        try launch(
            "short_convolution_backward", call, strip: strip, [.tensor(gradient), .tensor(finalGradient)],
            [.tensor(x), .tensor(weightParts), .tensor(biasParts), .tensor(state)])
        let weight = try zeros(call.weight.shape)
        try addColumnSums(weightParts, into: weight)
        let bias = try biasParts.map { parts in
            let sums = try zeros([dim])
            try addColumnSums(parts, into: sums)
            return sums
        }
        return ShortConvolutionGradients(x: x, weight: weight, bias: bias, state: state)
    }

    private func launch(
        _ kernel: String, _ call: ShortConvolution, strip: Int, _ before: [Argument], _ after: [Argument]
    ) throws {
        let (batch, tokens, dim) = (call.x.shape[0], call.x.shape[1], call.x.shape[2])
        let strips = batch * ((tokens + strip - 1) / strip)
        let first = try call.documents?.firstPositions(length: tokens, on: place)
        try device.launch(
            "short_convolution.cu", "\(kernel)<\(call.width),\(call.activation?.cudaName ?? "NoActivation")>",
            grid: ((strips + 7) / 8, (dim + 255) / 256, 1), block: (32, 8),
            before + [
                .tensor(call.x), .tensor(call.weight), .tensor(call.bias), .tensor(call.state), .tensor(first),
            ] + after + [.int(batch), .int(tokens), .int(dim), .int(strip)])
    }
}
