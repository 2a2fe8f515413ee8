import Tensors
import Testing

extension CUDATests {
    @Suite("AdamW on a GPU") struct OptimiserTests {
        /// Parameters before the first step; some have a copy in bfloat16.
        private func parameters(on device: Device) throws -> [AdamWParameter] {
            var random = Random(11)
            return try [[3], [70_001], [33, 17]].enumerated().map { index, shape in
                AdamWParameter(
                    value: try random.tensor(shape).to(device), gradient: try random.tensor(shape).to(device),
                    first: try .zeros(shape, on: device), second: try .zeros(shape, on: device),
                    copy: index == 0 ? nil : try .zeros(shape, .bfloat16, on: device),
                    rateScale: index == 1 ? 0.5 : 1, weightDecay: index == 2 ? 0.1 : 0)
            }
        }

        private func settings(_ step: Int, loss: Tensor? = nil) -> AdamWSettings {
            AdamWSettings(
                beta1: 0.9, beta2: 0.95, epsilon: 1e-8,
                rates: .init(learningRate: 0.01, step: step, clip: 3, gradientScale: 0.25), loss: loss)
        }

        private func tensors(_ parameters: [AdamWParameter]) -> [Tensor] {
            parameters.flatMap { [$0.value, $0.first, $0.second] + ($0.copy.map { [$0] } ?? []) }
        }

        @Test func steps() throws {
            var (expected, found) = (try parameters(on: .cpu), try parameters(on: .cuda))
            for step in 1...3 {
                let norms = try (
                    CPUBackend.shared.adamW(&expected, settings(step)).read(),
                    Device.cuda.gradientBackend.adamW(&found, settings(step)).read()
                )
                #expect(abs(norms.0.norm - norms.1.norm) < 1e-5 * norms.0.norm && norms.1.unfinite == nil)
                for (found, expected) in zip(tensors(found), tensors(expected)) {
                    // A copy may be rounded the other way.
                    try expectClose(found, expected, found.dtype == .float32 ? 1e-5 : 0x1p-7, "step \(step)")
                }
            }
        }

        @Test("nothing changes when a gradient or the loss is not finite", arguments: [Float.nan, .infinity, 3e38])
        func notFinite(_ value: Float) throws {
            var parameters = try parameters(on: .cuda)
            let before = try tensors(parameters).map { try doubles($0) }
            let gradient = parameters[2].gradient
            try parameters[2].gradient.withMutable(Float.self) { ($0[0], $0[560]) = (value, value) }
            parameters[2].gradient = try parameters[2].gradient.to(.cuda)
            #expect(try Device.cuda.gradientBackend.adamW(&parameters, settings(1)).read().unfinite == 2)
            #expect(try tensors(parameters).map { try doubles($0) } == before)
            parameters[2].gradient = gradient
            let loss = try Tensor([Float.nan], shape: []).to(.cuda)
            _ = try Device.cuda.gradientBackend.adamW(&parameters, settings(1, loss: loss)).read()
            #expect(try tensors(parameters).map { try doubles($0) } == before)
        }
    }
}
