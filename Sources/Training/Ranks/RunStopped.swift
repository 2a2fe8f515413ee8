/// Another of a run's processes was asked to stop, and with it all have.
public struct RunStopped: Error {
    /// It carries nothing.
    public init() {}
}
