/// Why a request was not taken, or ended early.
public enum SchedulerError: Error, Equatable, CustomStringConvertible {
    /// As many requests wait as may.
    case full(waiting: Int)
    /// The scheduler takes no more requests, or has been stopped.
    case stopping
    /// The time for the request was up before its first token.
    case late

    public var description: String {
        switch self {
        case .full(let waiting): "\(waiting) requests wait already; ask again later"
        case .stopping: "no more requests are taken: the server is stopping"
        case .late: "the time for the request was up before its first token"
        }
    }
}
