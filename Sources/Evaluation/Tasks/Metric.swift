/// A figure over examples, with its standard error.
public struct Metric: Sendable, Equatable {
    /// Such as "string_match_all".
    public let name: String
    /// The mean over the examples.
    public let value: Double
    /// Of the mean over the examples; nil for a single one.
    public let standardError: Double?

    init(name: String, value: Double, standardError: Double?) {
        (self.name, self.value, self.standardError) = (name, value, standardError)
    }

    /// The mean of `samples`, one or more, with s / √n, s² being the unbiased variance.
    public init(_ name: String, meanOf samples: [Double]) {
        let count = Double(samples.count)
        let mean = samples.reduce(0, +) / count
        let squares = samples.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let error = samples.count > 1 ? (squares / (count - 1) / count).squareRoot() : nil
        self.init(name: name, value: mean, standardError: error)
    }
}
