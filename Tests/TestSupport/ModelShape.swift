/// The dimensions of a published model, as its config.json has them: what kernels and models are tested at.
package struct ModelShape: Sendable, CustomStringConvertible {
    package let name: String
    /// D.
    package let hidden: Int
    /// F.
    package let mlp: Int
    /// H.
    package let heads: Int
    /// N.
    package let keyValueHeads: Int
    /// K.
    package let headDim: Int
    package let vocabulary: Int

    package init(
        _ name: String, hidden: Int, mlp: Int, heads: Int, keyValueHeads: Int, headDim: Int, vocabulary: Int
    ) {
        (self.name, self.hidden, self.mlp) = (name, hidden, mlp)
        (self.heads, self.keyValueHeads, self.headDim) = (heads, keyValueHeads, headDim)
        self.vocabulary = vocabulary
    }

    package var description: String { name }

    /// The same with other extents, where a test does not need the real ones.
    package func with(hidden: Int? = nil, mlp: Int? = nil, heads: Int? = nil, vocabulary: Int? = nil) -> ModelShape {
        ModelShape(
            name, hidden: hidden ?? self.hidden, mlp: mlp ?? self.mlp, heads: heads ?? self.heads,
            keyValueHeads: heads.map { max(1, $0 * keyValueHeads / self.heads) } ?? keyValueHeads, headDim: headDim,
            vocabulary: vocabulary ?? self.vocabulary)
    }

    package static let smolLM2Small = ModelShape(
        "SmolLM2-135M", hidden: 576, mlp: 1536, heads: 9, keyValueHeads: 3, headDim: 64, vocabulary: 49_152)
    package static let smolLM2 = ModelShape(
        "SmolLM2-1.7B", hidden: 2048, mlp: 8192, heads: 32, keyValueHeads: 32, headDim: 64, vocabulary: 49_152)
    package static let tinyLlama = ModelShape(
        "TinyLlama-1.1B", hidden: 2048, mlp: 5632, heads: 32, keyValueHeads: 4, headDim: 64, vocabulary: 32_000)
    package static let llama1B = ModelShape(
        "Llama-3.2-1B", hidden: 2048, mlp: 8192, heads: 32, keyValueHeads: 8, headDim: 64, vocabulary: 128_256)
    package static let llama3B = ModelShape(
        "Llama-3.2-3B", hidden: 3072, mlp: 8192, heads: 24, keyValueHeads: 8, headDim: 128, vocabulary: 128_256)
    package static let llama8B = ModelShape(
        "Llama-3-8B", hidden: 4096, mlp: 14_336, heads: 32, keyValueHeads: 8, headDim: 128, vocabulary: 128_256)
    package static let mistral = ModelShape(
        "Mistral-7B", hidden: 4096, mlp: 14_336, heads: 32, keyValueHeads: 8, headDim: 128, vocabulary: 32_000)
    package static let mistralNemo = ModelShape(
        "Mistral-Nemo", hidden: 5120, mlp: 14_336, heads: 32, keyValueHeads: 8, headDim: 128, vocabulary: 131_072)
    package static let qwenSmall = ModelShape(
        "Qwen2.5-0.5B", hidden: 896, mlp: 4864, heads: 14, keyValueHeads: 2, headDim: 64, vocabulary: 151_936)
    package static let qwen7B = ModelShape(
        "Qwen2.5-7B", hidden: 3584, mlp: 18_944, heads: 28, keyValueHeads: 4, headDim: 128, vocabulary: 152_064)
    package static let qwen72B = ModelShape(
        "Qwen2.5-72B", hidden: 8192, mlp: 29_568, heads: 64, keyValueHeads: 8, headDim: 128, vocabulary: 152_064)
    package static let gemma1B = ModelShape(
        "Gemma-3-1B", hidden: 1152, mlp: 6912, heads: 4, keyValueHeads: 1, headDim: 256, vocabulary: 262_144)
    package static let gemma7B = ModelShape(
        "Gemma-7B", hidden: 3072, mlp: 24_576, heads: 16, keyValueHeads: 16, headDim: 256, vocabulary: 256_000)

    package static let all = [
        smolLM2Small, smolLM2, tinyLlama, llama1B, llama3B, llama8B, mistral, mistralNemo, qwenSmall, qwen7B, qwen72B,
        gemma1B, gemma7B,
    ]

    /// Every number of inputs that a weight matrix of one of the models has, in ascending order.
    package static let widths = Set(all.flatMap { [$0.hidden, $0.mlp, $0.heads * $0.headDim] }).sorted()

    /// Every form of attention heads that one of the models has, once: those of the shape named first.
    package static let attention = all.reduce(into: [ModelShape]()) { found, shape in
        let known = found.contains {
            ($0.heads, $0.keyValueHeads, $0.headDim) == (shape.heads, shape.keyValueHeads, shape.headDim)
        }
        if !known { found.append(shape) }
    }

    /// Every size of a vocabulary that one of the models has, in ascending order.
    package static let vocabularies = Set(all.map(\.vocabulary)).sorted()
}
