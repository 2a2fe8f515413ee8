import Generation

/// How a model is served.
public struct ServerOptions: Sendable {
    /// The address to listen at.
    public var host = "127.0.0.1"
    /// The port to listen at; 0 takes a free one.
    public var port = 8080
    /// Keys of which a request must bear one; none lets everybody in.
    public var keys: [String] = []
    /// Origins of web pages that may ask; `*` is any.
    public var origins: [String] = []
    /// Whether there is a page for people at /.
    public var servesPage = true
    /// Bytes that the weights of models may take together; nil for as many as there are.
    public var modelBytes: Int?
    /// Seconds for which requests for other models may overtake one that waits for room for its own.
    public var modelPatience = 5.0
    /// How each model is shared.
    public var scheduler = SchedulerOptions()
    /// The folder in which states and conversations outlive the server; nil for none. Each of several models has a folder within it.
    public var stateFolder: String?
    /// Bytes that states of a model may take in the folder, saved slots the same, and conversations a tenth of it.
    public var stateDiskBytes = 10_000_000_000
    /// The most bytes of a request's body.
    public var maximumBody = 32 << 20
    /// The most tokens of a prompt.
    public var maximumPrompt = 131_072
    /// The most tokens of a continuation.
    public var maximumTokens = 32_768
    /// Seconds after which a request ends, with what it has come to.
    public var requestSeconds = 600.0
    /// Seconds that a body may take to arrive.
    public var bodySeconds = 60.0
    /// Seconds after which a connection on which nothing happens is closed.
    public var idleSeconds = 120.0
    /// The most connections at a time.
    public var connections = 1024
    /// Seconds that running requests have when the server is told to stop.
    public var graceSeconds = 10.0

    /// A server at port 8080 of this machine alone, for everybody on it.
    public init() {}

    /// - Throws: `GenerationError.option` for a value that makes no sense.
    public func check() throws {
        func require(_ holds: Bool, _ name: String, _ expected: String, _ found: some CustomStringConvertible) throws {
            if !holds { throw GenerationError.option(name: name, expected: expected, found: "\(found)") }
        }
        try require((0...65_535).contains(port), "port", "0 to 65535", port)
        try require((1...4096).contains(scheduler.batch), "batch", "1 to 4096", scheduler.batch)
        try require(scheduler.queue >= 1, "queue", "1 or more", scheduler.queue)
        try require(scheduler.stateBytes >= 0, "stateBytes", "0 or more", scheduler.stateBytes)
        try require(stateDiskBytes >= 0, "stateDiskBytes", "0 or more", stateDiskBytes)
        try require((1...(1 << 30)).contains(maximumBody), "maximumBody", "1 to 1G", maximumBody)
        try require(maximumPrompt >= 1, "maximumPrompt", "1 or more", maximumPrompt)
        try require(maximumTokens >= 1, "maximumTokens", "1 or more", maximumTokens)
        try require(requestSeconds > 0 && requestSeconds <= 1e6, "requestSeconds", "more than 0", requestSeconds)
        try require(bodySeconds > 0 && bodySeconds <= 1e6, "bodySeconds", "more than 0", bodySeconds)
        try require(idleSeconds > 0 && idleSeconds <= 1e6, "idleSeconds", "more than 0", idleSeconds)
        try require(connections >= 1, "connections", "1 or more", connections)
        try require(graceSeconds >= 0 && graceSeconds <= 1e6, "graceSeconds", "0 or more", graceSeconds)
    }
}
