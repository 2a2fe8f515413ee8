import Hummingbird
import NIOCore

/// What is known of a request beside its contents.
struct ServerContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The connection that it came by.
    let channel: any Channel
    /// The address that it came from.
    let peer: String
    /// Which key it bore; nil where none is asked for.
    var key: Int?

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
        peer = source.channel.remoteAddress?.ipAddress ?? "local"
    }

    /// Who shares places with others.
    var owner: String { key.map { "key \($0)" } ?? peer }
    /// Whose states may be used: the key itself, as its place in a file may change. Never told or written.
    var scope = ""

    /// Closes the connection once there was time to read the answer: what its client still sends is read no more.
    func closeSoon() { channel.eventLoop.scheduleTask(in: .seconds(2)) { [channel] in channel.close(promise: nil) } }
}
