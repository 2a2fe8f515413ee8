/// Which keys a query of causal softmax attention sees in its own document: the last ones up to its own position, and the
/// first ones, whatever their distance (attention sinks; Xiao et al. 2023, arXiv 2309.17453).
public struct AttentionSpan: Sendable, Hashable {
    /// Positions up to the query's own, at least 1; nil for all.
    public var window: Int?
    /// Positions from the document's first on; without a window they are among the others.
    public var sinks: Int

    /// The last `window` positions and the first `sinks`; without arguments all.
    public init(window: Int? = nil, sinks: Int = 0) { (self.window, self.sinks) = (window, sinks) }

    /// The most keys that any query sees; nil without a window.
    public var most: Int? { window.map { $0 + sinks } }

    /// The first position from which on sinks lie before the windows of all queries that a kernel takes together, up to 128:
    /// whichever query sees them there sees them beside its window. Nil without a window.
    public var firstBeyondSinks: Int? { window.map { $0 + sinks + 128 } }

    /// The most sinks: what kernels hold at once.
    public static let mostSinks = 64
}
