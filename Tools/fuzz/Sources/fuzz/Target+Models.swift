import Checkpoints
import Foundation
import Generation
import Models
import Tokenizers

extension Target {
    static let modelTargets = [
        Target(name: "safetensors") { bytes in
            try loadAll(SafetensorsCheckpoint(contents: bytes, path: "fuzz.safetensors"))
        },
        Target(name: "gguf") { bytes in
            let checkpoint = try GGUFCheckpoint(contents: bytes, path: "fuzz.gguf")
            _ = try? DecoderConfiguration(gguf: checkpoint)
            _ = try? GGUFTokenizer(checkpoint.metadata)
            try loadAll(checkpoint)
        },
        Target(name: "state") { bytes in
            guard let model else { return }
            var bytes = bytes
            if bytes.count >= 72 {
                // Mutations get past the checksum: the length and the hash are put right.
                bytes.replaceSubrange(16..<24, with: littleEndian(UInt64(bytes.count)))
                let end = bytes.count - 8
                let hash = bytes[..<end].withUnsafeBytes { XXHash64.hash($0) }
                bytes.replaceSubrange(end..., with: littleEndian(hash))
                bytes.replaceSubrange(24..<32, with: littleEndian(try model.fingerprint()))
            }
            let file = try withFile(bytes, ending: "moult-state") { try StateFile(path: $0, model: model) }
            try file.session.read([1, 2, 3])
        },
    ]

    /// The model of the folder MODEL.
    private static let model = ProcessInfo.processInfo.environment["MODEL"].flatMap { try? DecoderModel.load($0) }

    private static func loadAll(_ checkpoint: any Checkpoint) throws {
        for tensor in checkpoint.tensors where tensor.shape.reduce(1, { $0.multipliedFull(by: $1) }) < 1 << 20 {
            _ = try checkpoint.load(tensor.name, as: .float32)
        }
    }

    private static func littleEndian(_ value: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}

extension Int {
    /// The product, or the largest number when it does not fit.
    fileprivate func multipliedFull(by other: Int) -> Int {
        let (product, overflows) = multipliedReportingOverflow(by: other)
        return overflows ? .max : product
    }
}
