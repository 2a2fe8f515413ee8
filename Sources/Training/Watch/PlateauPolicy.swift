/// What a run does when its validation perplexity no longer falls.
public struct PlateauPolicy: Sendable, Equatable {
    /// What is done.
    public enum Action: String, Sendable, CaseIterable {
        /// Says so.
        case none
        /// Lowers the stage's learning rate.
        case lower
        /// Ends the stage; the next one begins.
        case stop
    }

    /// What is done.
    public var action = Action.none
    /// Measurements in a row without a fall that are a plateau.
    public var patience = 3
    /// What `lower` multiplies the rate with.
    public var factor = 0.5

    /// The default: it is only said.
    public init() {}

    static let patiences = 1...1_000_000
    static let factors = 0.001...0.999
}
