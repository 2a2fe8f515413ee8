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
        if let positions {
            let places = try context.places(rows: rows, length: length, of: positions.shape[0], on: table.device)
            x = try x.adding(Tensor.embedding(places, table: positions))
        }
        return try x.reshaped([rows, length, table.shape[1]])
    }
}

extension MixerContext {
    /// Where each of B · T tokens stands in its document, int32.
    /// - Throws: ``ModelError/input(expected:found:)`` beyond the `count` positions that were learned.
    fileprivate func places(rows: Int, length: Int, of count: Int, on device: Device) throws -> Tensor {
        if let recordedPosition {
            guard rows == 1 else {
                throw ModelError.input(
                    expected: "one sequence at a time on a GPU of a model with learned positions", found: "\(rows)")
            }
            return recordedPosition
        }
        let longest = documents?.longest(of: length) ?? position + length
        guard longest <= count else {
            throw ModelError.input(
                expected: "at most \(count) tokens, for as many positions the model has learned", found: "\(longest)")
        }
        if let documents { return try documents.places(length: length, on: device) }
        let places = (position..<position + length).map { Int32(truncatingIfNeeded: $0) }
        return try Tensor((0..<rows).flatMap { _ in places }, shape: [rows * length]).to(device)
    }
}
