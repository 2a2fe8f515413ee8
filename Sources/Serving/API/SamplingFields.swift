import Foundation
import Generation
import Support

/// The fields by which a request says how tokens are picked and where a text ends.
struct SamplingFields {
    let samplers: [Sampler]
    let strings: [String]
    let stops: Set<Int32>
    let ignoresEnd: Bool
    let reusesStates: Bool
    /// The slot that remembers the state; nil for any.
    let slot: Int?

    /// The most continuations of a prompt.
    static let mostChoices = 16
    /// The most stop strings.
    static let mostStops = 16

    init(_ fields: inout RequestFields, _ service: ModelService) throws {
        let defaults = service.defaults
        let count = try fields.integer("n", 1...Self.mostChoices) ?? 1
        let topK = try fields.integer("top_k", -1...Int.max).map { $0 > 0 ? $0 : nil } ?? defaults.topK
        let temperature = try fields.number("temperature", 0...100)
        let options = try SamplingOptions(
            logitBias: try Self.biases(&fields, service.vocabularySize),
            repetitionPenalty: try fields.number("repetition_penalty", 1e-3...1e3).map { Float($0) }
                ?? defaults.repetitionPenalty,
            frequencyPenalty: Float(try fields.number("frequency_penalty", -2...2) ?? 0),
            presencePenalty: Float(try fields.number("presence_penalty", -2...2) ?? 0),
            temperature: temperature.map { Float($0) } ?? defaults.temperature, topK: topK,
            topP: try fields.number("top_p", 0...1).map { Float($0) } ?? defaults.topP,
            minP: try fields.number("min_p", 0...1).map { Float($0) } ?? defaults.minP)
        let seed = try fields.integer("seed", Int.min...Int.max, "a whole number").map { UInt64(bitPattern: Int64($0)) }
        let first = seed ?? .random(in: 0...UInt64.max)
        samplers = (0..<count).map {
            // Random numbers of its own for each.
            Sampler(options, seed: first &+ UInt64($0) &* 0x9E37_79B9_7F4A_7C15)
        }
        strings = try Self.stops(&fields)
        stops = try Self.stopTokens(&fields, service.vocabularySize)
        ignoresEnd = try fields.bool("ignore_eos") ?? false
        reusesStates = try fields.bool("cache_prompt") ?? true
        slot = try fields.integer("id_slot", -1...service.options.scheduler.batch - 1).flatMap { $0 < 0 ? nil : $0 }
    }

    private static func stops(_ fields: inout RequestFields) throws -> [String] {
        guard let value = fields.value("stop") else { return [] }
        let values = value.arrayValue ?? [value]
        let strings = values.compactMap(\.stringValue)
        guard strings.count == values.count, strings.count <= mostStops else {
            throw fields.mistake("stop", "a string, or at most \(mostStops) of them", value)
        }
        // Clients send empty ones, which would end every text.
        return strings.filter { !$0.isEmpty }
    }

    private static func stopTokens(_ fields: inout RequestFields, _ vocabulary: Int) throws -> Set<Int32> {
        guard let value = fields.value("stop_token_ids") else { return [] }
        let ids = value.arrayValue?.compactMap(\.integerValue) ?? []
        guard let values = value.arrayValue, ids.count == values.count, ids.allSatisfy((0..<vocabulary).contains) else {
            throw fields.mistake("stop_token_ids", "token ids below \(vocabulary)", value)
        }
        return Set(ids.map { Int32($0) })
    }

    private static func biases(_ fields: inout RequestFields, _ vocabulary: Int) throws -> [Int32: Float] {
        guard let object = try fields.object("logit_bias") else { return [:] }
        var biases: [Int32: Float] = [:]
        for (key, value) in object.pairs {
            guard let id = Int(key), (0..<vocabulary).contains(id), let bias = value.doubleValue,
                (-100...100).contains(bias)
            else {
                throw fields.mistake(
                    "logit_bias", "token ids below \(vocabulary) with numbers from -100 to 100",
                    .object(JSONObject([(ForeignText.line(key, limit: 40), value)])))
            }
            biases[Int32(id)] = Float(bias)
        }
        return biases
    }
}
