import Foundation
import Tensors

extension Tensor {
    /// One of the tensors of which this is a stack, along its first dimension.
    func member(_ number: Int) throws -> Tensor {
        try rows(number..<number + 1).reshaped(Array(shape.dropFirst()))
    }

    /// The rows of these numbers, of the first dimension; in place where they are a range.
    func gatheringRows(_ rows: [Int]) throws -> Tensor {
        let first = rows.first ?? 0
        if rows.indices.allSatisfy({ rows[$0] == first + $0 }) { return try self.rows(first..<first + rows.count) }
        try requirePlain("gatheringRows", "tensor")
        let stride = shape.dropFirst().reduce(dtype.size, *)
        return try withUnsafeBytes { source in
            try Tensor([rows.count] + shape.dropFirst(), dtype) { target in
                for (place, row) in rows.enumerated() {
                    UnsafeMutableRawBufferPointer(rebasing: target[place * stride..<(place + 1) * stride])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[row * stride..<(row + 1) * stride]))
                }
            }
        }
    }

    /// Of the softmax over the rows of a matrix (R, C), column by column, the sum of rows 1 to `row`: (C).
    func softmaxSums(through row: Int) throws -> Tensor {
        let (values, width) = (try array(Float.self).map(Double.init), shape[1])
        let sums = (0..<width).map { column -> Float in
            let all = stride(from: column, to: values.count, by: width).map { values[$0] }
            let most = all.max() ?? 0
            let powers = all.map { exp($0 - most) }
            return Float(powers[1..<row + 1].reduce(0, +) / powers.reduce(0, +))
        }
        return try Tensor(sums, shape: [width])
    }

    /// A matrix (R, C) as (C, R).
    func transposedMatrix() throws -> Tensor {
        try requirePlain("transposedMatrix", "tensor")
        let (rows, columns, size) = (shape[0], shape[1], dtype.size)
        return try withUnsafeBytes { source in
            try Tensor([columns, rows], dtype) { target in
                // Blocks of both fit into the cache.
                let block = 64
                for firstRow in stride(from: 0, to: rows, by: block) {
                    for firstColumn in stride(from: 0, to: columns, by: block) {
                        for row in firstRow..<min(firstRow + block, rows) {
                            for column in firstColumn..<min(firstColumn + block, columns) {
                                let (from, to) = ((row * columns + column) * size, (column * rows + row) * size)
                                for byte in 0..<size { target[to + byte] = source[from + byte] }
                            }
                        }
                    }
                }
            }
        }
    }
}
