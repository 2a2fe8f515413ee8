import Foundation
import Testing

extension CUDATests {
    /// Norms of what single heads read make small readings as large as any, and with them the rounding of bfloat16: hence the tolerances.
    @Suite("Layers of flash-linear-attention on a GPU") struct PublishedTests {
        /// A conversion, or a fixture with short convolutions, whose tokens before are a state in activations beside the matrices.
        enum Model: Sendable, CaseIterable {
            case gla, retention, gatedDeltaNet, kda

            var comparison: ModelComparison {
                get throws {
                    switch self {
                    case .gla: try Self.conversion(.flaGLA)
                    case .retention: try Self.conversion(.flaRetention)
                    case .gatedDeltaNet: try Self.fixture("gated_deltanet")
                    case .kda: try Self.fixture("kda")
                    }
                }
            }

            private static func conversion(_ kind: TinyModels.Kind) throws -> ModelComparison {
                let folder = try TinyModels()
                return try withExtendedLifetime(folder) { try ModelComparison(folder.converted(kind)) }
            }

            private static func fixture(_ name: String) throws -> ModelComparison {
                let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                return try ModelComparison(
                    folder.appendingPathComponent("ModelsTests/Fixtures/fla-\(name)-convolution").path)
            }
        }

        @Test("have the processor's hidden states", arguments: Model.allCases)
        func hidden(_ model: Model) throws { try model.comparison.expectHiddenStates(length: 60, 0.1) }

        @Test(
            "have the processor's gradients, and the same bits when layers are computed again",
            arguments: [Model.gla, .retention])
        func gradients(_ model: Model) throws { try model.comparison.expectGradients(0.15) }

        @Test("read on from a state, in pieces and by recorded steps", arguments: Model.allCases)
        func decoding(_ model: Model) throws { try model.comparison.expectDecoding(0.05) }
    }
}
