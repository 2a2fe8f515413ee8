/// Where packed documents begin: no token sees another document.
public struct Documents: Sendable, ExpressibleByArrayLiteral {
    private enum Form {
        case starts([Int])
        case rows(Tensor)
    }

    private let form: Form

    /// Documents that begin at these positions of one sequence (B = 1), ascending, the first being 0.
    public init(_ starts: [Int]) { form = .starts(starts) }

    public init(arrayLiteral starts: Int...) { self.init(starts) }

    /// Those of rows side by side.
    /// - Parameter firstPositions: int32 (B, T): the first position, within its row, of each token's document; never
    ///   decreasing along a row.
    public init(firstPositions: Tensor) { form = .rows(firstPositions) }

    /// int32 (B, T) as above; nil where only the starts within one sequence are known.
    var rows: Tensor? {
        if case .rows(let rows) = form { rows } else { nil }
    }

    /// Ascending starts within one sequence, the first being 0.
    /// - Throws: ``TensorError/shape(operation:argument:expected:found:)`` for rows side by side, but of one.
    func starts() throws -> [Int] {
        switch form {
        case .starts(let starts): return starts
        case .rows(let rows):
            guard rows.shape.first == 1 else {
                throw TensorError.shape(
                    operation: "documents", argument: "firstPositions", expected: "one row on the processor",
                    found: rows.shape)
            }
            return try rows.array(Int32.self).enumerated().compactMap { $0 == Int($1) ? $0 : nil }
        }
    }

    /// Tokens of the longest document, or as many as it may have: of `length` in a row.
    package func longest(of length: Int) -> Int {
        guard case .starts(let starts) = form else { return length }
        return zip(starts, starts.dropFirst() + [length]).map { $1 - $0 }.max() ?? length
    }

    /// The place of each token in its document, int32 (B · T), T = `length`, on `device`.
    package func places(length: Int, on device: Device) throws -> Tensor {
        switch form {
        case .rows(let rows): return try rows.recordingBackend("places").places(rows)
        case .starts(let starts):
            var places = [Int32](0..<Int32(clamping: length))
            for (start, end) in zip(starts, starts.dropFirst() + [length]) {
                for place in start..<min(end, length) { places[place] = Int32(place - start) }
            }
            return try Tensor(places, shape: [length]).to(device)
        }
    }

    /// int32 (B, T) on `device` as above, T = `length`.
    func firstPositions(length: Int, on device: Device) throws -> Tensor {
        switch form {
        case .rows(let rows): return rows
        case .starts(let starts):
            var first = [Int32](repeating: 0, count: length)
            for (start, end) in zip(starts, starts.dropFirst() + [length]) {
                for position in start..<min(end, length) { first[position] = Int32(start) }
            }
            return try Tensor(first, shape: [1, length]).to(device)
        }
    }
}
