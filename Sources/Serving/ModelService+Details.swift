import Generation
import Models
import Support

extension ModelService {
    /// The model's dimensions, how tokens are picked where a request does not say, and the memory of a sequence: with "transformer"
    /// that of the Transformer in whose attention's place the mixers stand.
    static func details(_ model: DecoderModel, _ defaults: SamplingDefaults) throws -> JSONValue {
        func cost(_ configuration: ModelConfiguration) throws -> JSONObject {
            let cost = try configuration.stateCost(on: model.device, cache: model.cacheType)
            let windows = cost.windows.sorted { $0.key < $1.key }.map { tokens, bytes -> JSONValue in
                ["tokens": .integer(tokens), "bytes_per_token": .integer(bytes)]
            }
            return [
                "constant_bytes": .integer(cost.constant), "bytes_per_token": .integer(cost.perToken),
                "windows": .array(windows),
            ]
        }
        let configuration = model.configuration
        var state = try cost(configuration)
        state["segment_tokens"] = .integer(GenerationSession.segment)
        state["transformer"] = try configuration.transformer.map { .object(try cost($0)) } ?? .null
        return [
            "n_vocab": .integer(configuration.decoder.vocabularySize),
            "n_embd": .integer(configuration.decoder.hiddenSize),
            "sampling": [
                "temperature": TokenTexts.number(defaults.temperature), "top_k": .integer(defaults.topK ?? 0),
                "top_p": TokenTexts.number(defaults.topP), "min_p": TokenTexts.number(defaults.minP),
                "repetition_penalty": TokenTexts.number(defaults.repetitionPenalty),
            ],
            "state": .object(state),
        ]
    }
}
