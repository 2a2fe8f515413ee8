import Checkpoints
import Tensors

/// What tokens are before the first layer: scale · table[token], and with learned positions + positions[place].
struct DecoderEmbedding: Sendable {
    /// (vocabulary, D).
    let table: Tensor
    let scale: Float
    /// (positions, D); nil where attention alone knows positions.
    let positions: Tensor?

    static func rules(_ configuration: ModelConfiguration) -> [ParameterRule] {
        let (decoder, names) = (configuration.decoder, configuration.names)
        let shape = [decoder.vocabularySize, decoder.hiddenSize]
        let table = ParameterRule.reused(names.embedding, from: ParameterNames.huggingFace.embedding, shape: shape)
        guard decoder.hasLearnedPositions else { return [table] }
        return [table, .reused(names.positions, shape: [decoder.maximumPositions, decoder.hiddenSize])]
    }

    init(_ configuration: ModelConfiguration, parameters: Parameters) throws {
        table = try parameters[configuration.names.embedding]
        scale = configuration.decoder.embeddingScale
        positions =
            configuration.decoder.hasLearnedPositions ? try parameters[configuration.names.positions] : nil
    }

    /// (B, T, D) of token ids (B, T) or (R), int32 on the table's device, which are (R, 1).
    func callAsFunction(_ ids: Tensor, context: MixerContext) throws -> Tensor {
        let (rows, length) = (ids.shape[0], ids.rank > 1 ? ids.shape[1] : 1)
        var x = try Tensor.embedding(ids, table: table)
        if scale != 1 { x = try x.scaled(by: scale) }
        if let positions { x = try x.adding(places(in: positions, rows: rows, length: length, context)) }
        return try x.reshaped([rows, length, table.shape[1]])
    }

    /// - Throws: ``ModelError/input(expected:found:)`` for more tokens than there are learned positions.
    func requirePlaces(for tokens: Int) throws {
        guard let count = positions?.shape[0], tokens > count else { return }
        throw ModelError.input(
            expected: "at most \(count) tokens, for as many positions the model has learned", found: "\(tokens)")
    }

    /// The rows of `table` (positions, D) where each of B · T tokens stands in its document: (B · T, D).
    private func places(in table: Tensor, rows: Int, length: Int, _ context: MixerContext) throws -> Tensor {
        if let places = context.recordedPositions { return try .embedding(places, table: table) }
        let (documents, position) = (context.documents, context.position)
        try requirePlaces(for: documents?.longest(of: length) ?? position + length)
        if let documents { return try .embedding(documents.places(length: length, on: table.device), table: table) }
        let places = (position..<position + length).map { Int32(truncatingIfNeeded: $0) }
        let all = try Tensor((0..<rows).flatMap { _ in places }, shape: [rows * length])
        return try .embedding(all.to(table.device), table: table)
    }
}
