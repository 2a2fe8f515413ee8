import Checkpoints
import Support
import Synchronization
import Tensors

extension DecoderModel {
    /// A hash that tells models apart whose states are not interchangeable: of the configuration, as far as it changes
    /// what is computed, and of every parameter's name, shape, type, and contents.
    ///
    /// Of a parameter above 64 kB, 16 blocks of 4 kB are hashed, evenly spread from its first byte to its last. So it
    /// guards against another model, another conversion or another training step, which change every tensor all over;
    /// it does not find a few changed values, nor resist someone who looks for them. It is computed once.
    public func fingerprint() throws -> UInt64 {
        try knownFingerprint.value.withLock { known in
            if let known { return known }
            let fingerprint = try computeFingerprint()
            known = fingerprint
            return fingerprint
        }
    }

    private func computeFingerprint() throws -> UInt64 {
        var summary = Summary()
        let decoder = configuration.decoder
        for size in [
            decoder.vocabularySize, decoder.hiddenSize, decoder.layerCount, decoder.headCount,
            decoder.keyValueHeadCount, decoder.headDim, decoder.intermediateSize, decoder.slidingWindow ?? -1,
        ] {
            summary.add(size)
        }
        // The first layer's positions; all that others have otherwise is said below.
        let rotary = RotaryEmbedding(decoder, .init(theta: decoder.ropeTheta, scaling: decoder.ropeScaling))
        for number in [decoder.normEpsilon] + rotary.frequencies { summary.add(Int(number.bitPattern)) }
        // What most models have is left out, so that states saved earlier are known.
        if rotary.attentionFactor != 1 { summary.add(Int(Float(rotary.attentionFactor).bitPattern)) }
        if let longest = decoder.ropeScaling?.longestUnchanged {
            let long = rotary.frequencies(.source, length: longest + 1)
            for number in long { summary.add(Int(number.bitPattern)) }
        }
        let beyond = decoder.beyondLlama
        if beyond.count > 0 { summary.add(JSONValue.object(beyond).text()) }
        for mixer in configuration.mixers { summary.add(mixer) }
        summary.add(JSONValue.object(configuration.mixerOptions).text())
        for rule in try Self.rules(configuration) {
            let tensor = try parameters[rule.name]
            summary.add(rule.name)
            summary.add(tensor.dtype.rawValue)
            for extent in tensor.shape { summary.add(extent) }
            try tensor.withUnsafeBytes { summary.sample($0) }
        }
        return summary.hash
    }
}

/// The fingerprint of a model, once it was asked for.
final class KnownFingerprint: Sendable {
    let value = Mutex<UInt64?>(nil)
}

/// What a fingerprint is the hash of.
private struct Summary {
    private static let (blocks, blockBytes) = (16, 4096)
    private var bytes: [UInt8] = []

    var hash: UInt64 { bytes.withUnsafeBytes(XXHash64.hash) }

    mutating func add(_ number: Int) {
        withUnsafeBytes(of: UInt64(bitPattern: Int64(number)).littleEndian) { bytes += $0 }
    }

    mutating func add(_ text: String) {
        add(text.utf8.count)
        bytes += text.utf8
    }

    mutating func sample(_ contents: UnsafeRawBufferPointer) {
        add(contents.count)
        let last = contents.count - Self.blockBytes
        guard contents.count > Self.blocks * Self.blockBytes else { return add(hash(contents)) }
        for block in 0..<Self.blocks {
            let start = last / (Self.blocks - 1) * block
            let offset = block == Self.blocks - 1 ? last : start
            add(hash(UnsafeRawBufferPointer(rebasing: contents[offset..<offset + Self.blockBytes])))
        }
    }

    private func hash(_ contents: UnsafeRawBufferPointer) -> Int {
        Int(truncatingIfNeeded: XXHash64.hash(contents))
    }
}
