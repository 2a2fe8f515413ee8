extension Tensor {
    /// The root of the mean of the squares of all elements; 0 of none.
    public func rootMeanSquare() throws -> Double {
        let values = try to(.cpu).converted(to: .float32).array(Float.self)
        return (values.reduce(0) { $0 + Double($1) * Double($1) } / Double(max(1, values.count))).squareRoot()
    }

    /// The root mean square of a matrix (..., R, D) of any type, from at most 256 of its rows, evenly spaced: a parameter may have
    /// a billion elements and be on a GPU.
    package func sampledStrength() throws -> Double {
        guard rank > 1, let width = shape.last, count > 0 else { return try rootMeanSquare() }
        let rows = count / width, some = min(rows, 256)
        let picked = (0..<some).map { Int32($0 * rows / some) }
        return try Tensor.embedding(picked, table: reshaped([rows, width])).rootMeanSquare()
    }
}
