/// How a model answers the questions of a task.
public enum EvaluationMethod: String, CaseIterable, Sendable {
    /// It generates a text, in which the answers are looked for.
    case generation
    /// The answer is to be likelier than others.
    case likelihood
}
