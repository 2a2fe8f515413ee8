import Foundation
import Generation

/// What Tools/fixtures/sampling.py writes.
struct SamplingFixture: Decodable {
    struct Case: Decodable {
        var temperature: Float
        var topK: Int?
        var topP: Float?
        var minP: Float?
        var repetitionPenalty: Float?
        var logitBias: [String: Float]?
        var kept: [Int32]
        var probabilities: [Double]

        func options() throws -> SamplingOptions {
            let biases = try (logitBias ?? [:]).map { (try id($0.key), $0.value) }
            return try SamplingOptions(
                logitBias: Dictionary(uniqueKeysWithValues: biases), repetitionPenalty: repetitionPenalty ?? 1,
                temperature: temperature, topK: topK, topP: topP ?? 1, minP: minP ?? 0)
        }

        private func id(_ text: String) throws -> Int32 {
            guard let id = Int32(text) else { throw CocoaError(.coderReadCorrupt) }
            return id
        }
    }

    var logits: Data
    var history: [Int32]
    var cases: [Case]

    var logitValues: [Float] {
        logits.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map {
                Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
            }
        }
    }

    static func load() throws -> SamplingFixture {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/sampling.json")
        return try JSONDecoder().decode(SamplingFixture.self, from: try Data(contentsOf: file))
    }
}
