/// Bytes that come one after another.
protocol ByteSource: AnyObject {
    /// The file, for errors.
    var path: String { get }
    /// Bytes of the file taken so far.
    var bytesRead: Int { get }
    /// Appends up to `count` bytes; false when there are no more. After an error there are no more.
    func read(_ count: Int, into buffer: inout [UInt8]) throws -> Bool
}
