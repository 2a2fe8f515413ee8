/// Rows of tokens as a model reads them, and the token that follows each.
///
/// Rows without a document's start inside lie side by side, (B, T). Otherwise they are one sequence of packed documents,
/// in which no document sees another: (1, B · T).
struct TrainingBatch {
    let inputs: [[Int32]]
    /// One per input, -1 where the next token begins another document.
    let targets: [Int32]
    /// Starts of the documents, or nil when every row is one.
    let documents: [Int]?

    /// - Parameter rows: rows of one length.
    init(_ rows: [PackedRow]) {
        let length = (rows.first?.tokens.count ?? 1) - 1
        var targets: [Int32] = []
        for row in rows {
            targets += row.tokens.dropFirst()
            for start in row.documents.dropFirst() { targets[targets.count - length + start - 1] = -1 }
        }
        self.targets = targets
        if rows.allSatisfy({ $0.documents.count == 1 }) {
            inputs = rows.map { Array($0.tokens.dropLast()) }
            documents = nil
        } else {
            inputs = [rows.flatMap { $0.tokens.dropLast() }]
            documents = rows.enumerated().flatMap { index, row in row.documents.map { index * length + $0 } }
        }
    }

    var tokens: Int { targets.count }
    /// Targets that count.
    var predicted: Int { targets.count { $0 >= 0 } }
}
