/// What a person should know of a run, in words, and what can be done.
public struct RunNotice: Sendable, Equatable {
    /// What is the matter: perplexity no longer falls, or rises; a loss leaps; or steps are left out.
    public enum Kind: String, Sendable, CaseIterable { case plateau, rise, spike, skipped }

    /// Steps of the run so far.
    public var step: Int
    /// The stage's name.
    public var stage: String
    /// What is the matter.
    public var kind: Kind
    /// In words, in one line.
    public var text: String

    /// A notice at `step`.
    public init(step: Int, stage: String, kind: Kind, text: String) {
        (self.step, self.stage, self.kind, self.text) = (step, stage, kind, text)
    }
}
