import Checkpoints
import Support

extension JSONObject {
    /// The whole number at `key`, which errors call `name`; nil when there is none.
    /// - Throws: ``ModelError/configuration(key:expected:found:)``.
    func integer(_ key: String, named name: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let json = self[key], json != .null else { return nil }
        guard let number = json.doubleValue, let value = Int(exactly: number), range.contains(value) else {
            throw ModelError.configuration(
                key: name, expected: "an integer from \(range.lowerBound) to \(range.upperBound)", found: json.summary)
        }
        return value
    }
}
