/// What is held apart from training, to measure on.
public enum Validation: Sendable, Equatable {
    /// A share of each source's rows, from 0 (none) to 0.5, in up to eight blocks spread over the source.
    case share(Double)
    /// Files, folders or patterns of their own.
    case sources([DataSource])

    /// Half a per cent of each source.
    public static let standard = Validation.share(0.005)
}
