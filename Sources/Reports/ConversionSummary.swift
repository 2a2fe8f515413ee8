import Checkpoints
import Support

/// What a student's conversion.json says of where its parameters come from.
struct ConversionSummary: Sendable {
    struct Part: Sendable {
        /// "reused", "initialised" or "dropped".
        var name: String
        var tensors: Int
        var parameters: Int
        /// Of the student's parameters (dropped: of the source's), from 0 to 100.
        var percent: Double
    }

    let source: String?
    let parameters: Int?
    /// How many layers have each mixer, in the order of their appearance.
    let mixers: [(name: String, layers: Int)]
    let parts: [Part]

    /// Reads conversion.json; what it does not hold is left out.
    /// - Throws: ``CheckpointError`` when it is not JSON.
    init(file path: String) throws {
        let json = try JSONValue(file: path)
        source = json["source"]?.stringValue
        parameters = json["parameters"]?.integerValue
        var mixers: [(name: String, layers: Int)] = []
        for name in (json["mixers"]?.arrayValue ?? []).compactMap(\.stringValue) {
            if let index = mixers.firstIndex(where: { $0.name == name }) {
                mixers[index].layers += 1
            } else {
                mixers.append((name, 1))
            }
        }
        self.mixers = mixers
        parts = ["reused", "initialised", "dropped"].compactMap { name in
            guard let part = json[name], let tensors = part["tensors"]?.integerValue,
                let parameters = part["parameters"]?.integerValue, let percent = part["percent"]?.doubleValue
            else { return nil }
            return Part(name: name, tensors: tensors, parameters: parameters, percent: min(100, max(0, percent)))
        }
    }
}
